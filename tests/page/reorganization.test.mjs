import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyOf, noticeOf } from '../../static/reorganization.js';

const OWN = `fard1${'q'.repeat(58)}`;
const FRIEND = `fard1${'p'.repeat(58)}`;
const last = (replaced) => ({ time: 5, fork: 7, replaced, waiting: 0, dropped: 0 });
const pays = (amount, more = {}) => ({ id: 'a', sender: OWN, recipient: FRIEND, amount, ...more });
const details = (parts) => ({ waiting: [], dropped: [], rewards_lost: 0, ...parts });

test('what happened to own payments and rewards is said', () => {
  const notice = noticeOf(last(2), details({
    waiting: [pays(3), { id: 'b', sender: FRIEND, recipient: OWN, amount: 0.5 }],
    dropped: [pays(1, { why: 'insufficient funds' })],
    rewards_lost: 20,
  }), OWN);
  assert.equal(notice.title, '2 blocks were replaced by a chain with more work');
  assert.deepEqual(notice.lines, [
    'Your payment of 3.00 to fard1ppp…pppppp is waiting again.',
    'A payment of 0.50 to you is waiting again.',
    'Your payment of 1.00 to fard1ppp…pppppp can no longer be mined: insufficient funds.',
    '20.00 coins that you had mined in them are gone.',
  ]);
});

test('many payments are counted, not listed', () => {
  const { lines } = noticeOf(last(1), details({ waiting: Array(5).fill(pays(1)) }), OWN);
  assert.deepEqual([lines.length, lines[3]], [4, 'The same goes for 2 more payments of yours.']);
});

test('a replaced block in which nothing was ours is only told of when many are', () => {
  for (const known of [[details({}), OWN], [null, null]]) {
    assert.equal(noticeOf(last(5), ...known), null);
    assert.deepEqual(noticeOf(last(6), ...known).lines, []);
  }
  assert.equal(noticeOf(last(1), details({ rewards_lost: 10 }), OWN).title, '1 block was replaced by a chain with more work');
});

test('each reorganization has a key of its own, none has none', () => {
  assert.equal(keyOf(null), null);
  const keys = [last(1), last(2), { ...last(1), time: 6 }, { ...last(1), fork: 8 }].map(keyOf);
  assert.equal(new Set(keys).size, 4);
});

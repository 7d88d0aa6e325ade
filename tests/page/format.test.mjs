import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agoText, bytesText, clockText, countText, durationText, hashRateText, isoText, plural, progressText, shorten, shortNumber } from '../../static/format.js';
import { nodeSegment, peerRows, stateOf } from '../../static/peers.js';
import { Store } from '../../static/store.js';

function check(write, cases) {
  for (const [value, text] of cases) assert.equal(write(value), text, String(value));
}

test('numbers are short and honest', () => {
  check(countText, [[0, '0'], [1234567, '1,234,567'], [undefined, '–'], [NaN, '–']]);
  check(hashRateText, [[0, '0 H/s'], [999, '999 H/s'], [1234567, '1.23 MH/s'], [999_999, '1 MH/s'], [undefined, '–'], [-1, '–']]);
  check(shortNumber, [[16777216, '16.8 M'], [Infinity, '–']]);
  check(bytesText, [[240, '240 B'], [1680, '1.68 kB'], [undefined, '–']]);
  assert.equal(plural(1, 'block'), '1 block');
  assert.equal(plural(2, 'block'), '2 blocks');
});

test('times are told as a person would', () => {
  check((ago) => agoText(1000 - ago, 1000), [[-50, 'now'], [1, 'now'], [12, '12 s ago'], [61, '1 min ago'], [7200, '2 h ago'], [259200, '3 days ago']]);
  check(durationText, [[NaN, '–'], [59, '59 s']]);
  check(clockText, [[0, '0:00'], [65.9, '1:05'], [3600, '60:00']]);
  check(isoText, [[0, '1970-01-01T00:00:00.000Z'], [NaN, ''], [1e20, '']]);
});

test('a long text keeps both its ends', () => {
  assert.equal(shorten('a'.repeat(17)), 'a'.repeat(17));
  assert.equal(shorten(`12345678${'x'.repeat(48)}87654321`), '12345678…87654321');
});

test('nodes and peers become one list', () => {
  const rows = peerRows({ all_nodes: ['a:1', 'b:2'], peers: [{ node: 'b:2', state: 'connected', height: 7, last_seen: 5 }, { node: 'c:3', state: 'odd-state' }] });
  assert.deepEqual(rows.map((row) => [row.node, row.added, row.words, row.height]),
    [['a:1', true, 'Added', null], ['b:2', true, 'Connected', 7], ['c:3', false, 'odd state', null]]);
  assert.deepEqual(peerRows({}), []);
  assert.deepEqual(stateOf('constructor'), ['constructor', 'wait']);
});

test('a node stands raw in a path, anything odd escaped', () => {
  check(nodeSegment, [['localhost:5001', 'localhost:5001'], ['[::1]:5000', '[::1]:5000'], ['a/../b?c:1', 'a%2F..%2Fb%3Fc:1']]);
});

test('the store tells of what changed and of nothing else', () => {
  const store = new Store({ a: 1, b: 1 });
  const seen = [];
  store.watch(['a'], () => seen.push(store.get('a')));
  store.set({ a: 1, b: 2 });
  store.set({ a: 2 });
  assert.deepEqual(seen, [1, 2]);
});

test('a node that is not synced says why, how far it is, how fast and for how long', () => {
  const cases = [
    [{ sync: 'behind', height: 120, headers: 5000, blocks_per_second: 41.7, seconds_left: 117 }, 'Catching up: block 120 of 5,000 · 42 blocks/s · 1 min left'],
    [{ sync: 'behind', height: 120, headers: 121, blocks_per_second: 0.25, seconds_left: 4 }, 'Catching up: block 120 of 121 · 0.25 blocks/s · 4 s left'],
    [{ sync: 'behind', height: 120, headers: 120, blocks_per_second: null, seconds_left: null }, 'Catching up'],
    [{ sync: 'behind', height: 120, headers: 121, blocks_per_second: null, seconds_left: null }, '1 block behind'],
    [{ sync: 'behind', height: 120, headers: 5000, blocks_per_second: 0, seconds_left: null }, '4,880 blocks behind'],
    [{ sync: 'asking', height: 120, headers: 120 }, 'Asking the peers'],
    [{ sync: 'unanswered', height: 120, headers: 5000 }, 'No peer answers'],
    [{ sync: 'withheld', height: 120, headers: 5000 }, 'A peer has more blocks and does not give them'],
  ];
  for (const [status, text] of cases) assert.equal(progressText(status), text);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { guestRows, peerRows, rowsText, ROWS_MAX } from '../../static/peers.js';

const peer = (facts) => ({ all_nodes: ['a:1'], peers: [{ node: 'a:1', state: 'connected', ...facts }] });

test('a row says how a connected node is spoken with', () => {
  const cases = [
    [{ live: true, outgoing: true, incoming: false }, 'Live, opened here'],
    [{ live: true, outgoing: false, incoming: true }, 'Live, opened there'],
    [{ live: true, outgoing: true, incoming: true }, 'Live, opened by both'],
    [{ live: true }, 'Live'],
    [{ live: false, outgoing: false, incoming: false }, 'Called over HTTP'],
    [{ state: 'unreachable', message: 'no answer in time' }, ''],
  ];
  for (const [facts, way] of cases) assert.equal(peerRows(peer(facts))[0].way, way, JSON.stringify(facts));
});

test('a row says why a node is not connected', () => {
  const [row] = peerRows(peer({ state: 'unreachable', message: 'connection refused', height: 7, last_seen: 9 }));
  assert.deepEqual(row, {
    node: 'a:1', added: true, words: 'Not reachable', tone: 'bad', way: '', height: 7, lastSeen: 9, reason: 'connection refused',
  });
});

test('nodes without an address have rows of their own, of which nothing can be removed', () => {
  const answer = { all_nodes: [], peers: [], guests: [{ link: 4, height: 9, last_seen: null }, { link: 5, height: 'x', last_seen: 3 }] };
  const rows = guestRows(answer);
  assert.deepEqual(rows.map(({ node, way, height, lastSeen }) => [node, way, height, lastSeen]), [
    [null, 'Live, opened there', 9, null], [null, 'Live, opened there', null, 3],
  ]);
  assert.deepEqual(guestRows({}), []);
  assert.equal(guestRows({ guests: Array(ROWS_MAX + 9).fill({}) }).length, ROWS_MAX);
});

test('the line above the list says what is counted', () => {
  const rows = (states, guests) => [
    ...peerRows({ peers: states.map((state, at) => ({ node: `a:${at + 1}`, state })) }),
    ...guestRows({ guests: Array(guests).fill({}) }),
  ];
  const cases = [
    [[], 0, ''],
    [['connected'], 0, '1 of 1 peer connected'],
    [['connected', 'unreachable', 'new'], 1, '1 of 3 peers connected, 1 guest'],
    [[], 2, '2 guests'],
  ];
  for (const [states, guests, text] of cases) assert.equal(rowsText(rows(states, guests)), text);
});

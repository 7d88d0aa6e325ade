import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newestRange, olderRange, PAGE_SIZE, pendingOf, summary, WINDOW_MAX, withNewer, withOlder } from '../../static/blocks.js';

/** Blocks from..to (ascending) of a branch whose hashes carry its name; it leaves branch "a" at `fork`. */
function chain(from, to, branch = 'a', fork = 0) {
  const name = (index) => `${index < fork ? 'a' : branch}${index}`;
  return Array.from({ length: to - from + 1 }, (_, at) => ({
    index: from + at, hash: name(from + at), previous_hash: name(from + at - 1), transactions: [],
  }));
}

const newestFirst = (blocks) => [...blocks].reverse();

test('the first look asks for one page at the tip', () => {
  assert.deepEqual(newestRange([], 0), { from: 0, count: 1 });
  assert.deepEqual(newestRange([], 5), { from: 0, count: 6 });
  assert.deepEqual(newestRange([], 1000), { from: 1001 - PAGE_SIZE, count: PAGE_SIZE });
});

test('later looks ask only for what is new', () => {
  const window = newestFirst(chain(90, 100));
  assert.deepEqual(newestRange(window, 103), { from: 101, count: 3 });
  assert.deepEqual(newestRange(window, 100), { from: 81, count: 20 }, 'same height, other tip');
  assert.deepEqual(newestRange(window, 500), { from: 481, count: 20 }, 'too far behind to catch up');
});

test('newer blocks join the window and it keeps its bound', () => {
  const window = newestFirst(chain(0, 9));
  const joined = withNewer(window, chain(10, 12), 10);
  assert.deepEqual(joined.map((block) => block.index), [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]);
  assert.equal(withNewer(window, [], 10), window);
});

test('an answer that overlaps replaces the overlap', () => {
  const joined = withNewer(newestFirst(chain(0, 9)), chain(5, 11, 'b', 7), 50);
  assert.deepEqual(joined.map((block) => block.hash), newestFirst(chain(0, 11, 'b', 7)).map((block) => block.hash));
});

test('an answer from another branch does not join', () => {
  assert.equal(withNewer(newestFirst(chain(0, 9)), chain(10, 12, 'b', 8), 50), null);
  assert.equal(withNewer(newestFirst(chain(0, 9)), chain(12, 14), 50), null, 'a gap');
});

test('older blocks join below, to the first block and to the bound', () => {
  const window = newestFirst(chain(30, 40));
  assert.deepEqual(olderRange(window), { from: 10, count: 20 });
  const longer = withOlder(window, chain(10, 29));
  assert.equal(longer.length, 31);
  assert.deepEqual(olderRange(longer), { from: 0, count: 10 });
  assert.equal(olderRange(withOlder(longer, chain(0, 9))), null);
  assert.equal(withOlder(window, chain(10, 29, 'b')), window, 'reorganized meanwhile');
  assert.equal(olderRange(newestFirst(chain(1000, 999 + WINDOW_MAX))), null);
});

test('a block is summed up for the list', () => {
  const block = { index: 3, transactions: [{ sender: 'MINING', recipient: 'me', amount: 10 }, { sender: 'x', recipient: 'y', amount: 1 }] };
  assert.deepEqual(summary(block, 'me'), { genesis: false, transfers: 1, reward: 1_000_000_000n, own: true });
  assert.equal(summary(block, null).own, false);
  assert.deepEqual(summary({ index: 0 }, 'me'), { genesis: true, transfers: 0, reward: null, own: false });
});

test('what is pending counts fees and both directions', () => {
  const open = [
    { sender: 'me', recipient: 'x', amount: 1, fee: 0.5 }, { sender: 'y', recipient: 'me', amount: 2 }, { sender: 'y', recipient: 'x', amount: 4 },
  ];
  assert.deepEqual(pendingOf(open, 'me'), { leaving: 150_000_000n, arriving: 200_000_000n });
  assert.deepEqual(pendingOf(open, null), { leaving: 0n, arriving: 0n });
});

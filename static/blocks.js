// The part of the chain that the page shows: a window of the newest blocks.
//
// Owns: which blocks to ask for and how an answer joins what is already there. Pure.
// Invariant: the window is newest first, without gaps, and each block's `previous_hash` is the
// hash of the next one in the window.

import { unitsFromJson } from './amount.js';

/** Blocks of one request: a full block may be large, so a page is small. */
export const PAGE_SIZE = 20;
/** Blocks the window holds at most; when "older" reaches it, the button says so. */
export const WINDOW_MAX = 500;

/** The range to ask for so that the window reaches the tip: { from, count }, or null if it does. */
export function newestRange(window, tipHeight) {
  const top = window.length > 0 ? window[0].index : -1;
  const from = Math.max(0, tipHeight - PAGE_SIZE + 1);
  const count = tipHeight - from + 1;
  if (top >= from && top < tipHeight) return { from: top + 1, count: tipHeight - top };
  return { from, count };
}

/** The range below the window, or null at the first block or at the bound. */
export function olderRange(window) {
  const bottom = window.at(-1)?.index ?? 0;
  const room = WINDOW_MAX - window.length;
  const count = Math.min(PAGE_SIZE, bottom, room);
  return count > 0 ? { from: bottom - count, count } : null;
}

/** Whether each block is the parent of the one before it. */
function isLinked(blocks) {
  return blocks.slice(1).every((parent, at) => {
    const child = blocks[at];
    return child.index === parent.index + 1 && child.previous_hash === parent.hash;
  });
}

/**
 * The window after newer blocks (ascending, as the node answers) arrived, or null when they do not
 * join it: the chain was reorganized, and the newest page must be read again from scratch.
 */
export function withNewer(window, answer, limit) {
  const newest = [...answer].reverse();
  if (newest.length === 0) return window;
  const below = window.filter((block) => block.index < newest.at(-1).index);
  const longer = [...newest, ...below].slice(0, limit);
  return isLinked(longer) ? longer : null;
}

/** The window after older blocks (ascending) arrived; unchanged when they do not join it. */
export function withOlder(window, answer) {
  const older = [...answer].reverse();
  if (window.length === 0) return window;
  const longer = [...window, ...older].slice(0, WINDOW_MAX);
  return isLinked(longer) ? longer : window;
}

/** What a list says of a block: who mined it, how much that brought, how many transfers are in it. */
export function summary(block, ownAddress) {
  const transactions = block.transactions ?? [];
  const coinbase = transactions.find((one) => one.sender === 'MINING');
  return {
    genesis: block.index === 0,
    transfers: transactions.length - (coinbase ? 1 : 0),
    reward: coinbase ? unitsFromJson(coinbase.amount) : null,
    own: Boolean(coinbase && ownAddress && coinbase.recipient === ownAddress),
  };
}

/**
 * What open transactions will do to a wallet: base units leaving (fees included) and arriving.
 */
export function pendingOf(transactions, ownAddress) {
  let leaving = 0n;
  let arriving = 0n;
  for (const one of ownAddress ? transactions : []) {
    const amount = unitsFromJson(one.amount) ?? 0n;
    if (one.sender === ownAddress) leaving += amount + (unitsFromJson(one.fee ?? 0) ?? 0n);
    if (one.recipient === ownAddress) arriving += amount;
  }
  return { leaving, arriving };
}

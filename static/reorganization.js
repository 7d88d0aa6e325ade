// What a reorganization means to the person: blocks that gave way, payments that wait again.
//
// Owns: whether it is worth a word, and the words. Pure.

import { amountText, unitsFromJson } from './amount.js';
import { plural, shorten } from './format.js';

/** Payments named one by one; the rest is counted. */
const NAMED_MAX = 3;
/** So many blocks are told of even if nothing of one's own was in them: something is amiss. */
const DEEP = 6;
/** One that is older than this when the page is opened is not news, in seconds. */
export const NEWS_SECONDS = 600;

/** Names a reorganization, so that each is told of once; null for none. */
export function keyOf(last) {
  return last ? `${last.time} ${last.fork} ${last.replaced}` : null;
}

/** The end of a sentence may be the node's own words. */
function sentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function payment(one, own) {
  const amount = amountText(unitsFromJson(one.amount));
  if (one.sender === own) return `Your payment of ${amount} to ${shorten(one.recipient, 8, 6)}`;
  return `A payment of ${amount} to you`;
}

function payments(list, own, ending) {
  const named = list.slice(0, NAMED_MAX).map((one) => sentence(`${payment(one, own)} ${ending(one)}`));
  const rest = list.length - named.length;
  return rest > 0 ? [...named, `The same goes for ${plural(rest, 'more payment')} of yours.`] : named;
}

/**
 * What to tell of `last` (of GET /status): a title and lines, or null if nothing is worth a word.
 * `details` is the answer of GET /reorganization for `own`, or null while no address is known.
 */
export function noticeOf(last, details, own) {
  const lines = [];
  if (details && own) {
    lines.push(...payments(details.waiting ?? [], own, () => 'is waiting again'));
    lines.push(...payments(details.dropped ?? [], own, (one) => `can no longer be mined: ${one.why}`));
    const lost = unitsFromJson(details.rewards_lost ?? 0) ?? 0n;
    if (lost > 0n) lines.push(`${amountText(lost)} coins that you had mined in them are gone.`);
  }
  if (lines.length === 0 && last.replaced < DEEP) return null;
  const title = `${plural(last.replaced, 'block was', 'blocks were')} replaced by a chain with more work`;
  return { title, lines };
}

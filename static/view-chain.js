// The tab Blockchain: the newest blocks, each opening to its fields and transactions; older ones on
// demand; Resolve Conflicts.
//
// Invariant: a block that stays keeps its element, so open blocks, focus and selection survive an
// update.

import { api } from './api.js';
import { olderRange, summary, WINDOW_MAX } from './blocks.js';
import { amountElement, announce, byId, copyButton, describe, el, onClick, perform, setText, timeElement, toast } from './dom.js';
import { countText, dateText, plural, shorten } from './format.js';
import { store } from './store.js';
import { loadOlder, reloadBlocks, setFunds } from './sync.js';
import { transactionRow } from './view-transaction.js';

/** Transactions of a block drawn at once; the rest comes in steps of as many. */
const TRANSACTIONS_STEP = 50;

/** hash and wallet -> element, of the blocks shown. */
const rows = new Map();

function whole(text, what) {
  return el('span', { className: 'hash whole' }, el('code', {}, String(text ?? '–')), copyButton(String(text ?? ''), what));
}

function transactionList(transactions, own) {
  const list = el('ul', { className: 'transactions' });
  const more = el('button', { className: 'small' }, 'More transactions');
  let shown = 0;
  const step = () => {
    const next = transactions.slice(shown, shown + TRANSACTIONS_STEP);
    list.append(...next.map((one) => transactionRow(one, own)));
    shown += next.length;
    more.hidden = shown >= transactions.length;
  };
  more.addEventListener('click', step);
  step();
  return el('div', {}, list, more);
}

function body(block, own) {
  const fields = el('dl', { className: 'about' });
  const pairs = [
    ['Hash', whole(block.hash, 'block hash')],
    ['Previous', whole(block.previous_hash, 'previous hash')],
    ['Time', dateText(block.timestamp)],
    ['Proof', el('code', {}, String(block.proof ?? '–'))],
  ];
  if (block.bits !== undefined) pairs.push(['Target (bits)', el('code', {}, String(block.bits))]);
  describe(fields, pairs);
  const transactions = block.transactions ?? [];
  return transactions.length === 0 ? [fields] : [fields, transactionList(transactions, own)];
}

function headline(facts) {
  if (facts.genesis) return 'First block';
  return facts.transfers === 0 ? 'No transfers' : plural(facts.transfers, 'transfer');
}

function rewardElement({ reward, own }) {
  if (reward === null) return el('span', { className: 'amount' });
  const made = amountElement(reward, own ? '+' : '');
  if (own) made.classList.add('own-reward');
  return made;
}

function blockRow(block, own) {
  const facts = summary(block, own);
  const id = `block-${block.hash}`;
  const parts = [
    el('span', { className: 'block-height' }, countText(block.index)),
    el('span', { className: facts.transfers > 0 ? 'block-what' : 'block-what plain' }, headline(facts),
      facts.own ? el('span', { className: 'chip', title: 'Mined by you' }, 'Yours') : null),
    el('code', { className: 'block-hash' }, shorten(block.hash, 6, 8)),
    rewardElement(facts),
    timeElement(block.timestamp),
  ];
  // Spaces between the parts, so that they are read as words.
  const head = el('button', { className: 'block-head', aria: { expanded: 'false', controls: id } },
    ...parts.flatMap((part) => [part, ' ']));
  const panel = el('div', { className: 'block-body', id, hidden: true });
  head.addEventListener('click', () => {
    const open = panel.hidden;
    if (open && panel.childElementCount === 0) panel.append(...body(block, own));
    panel.hidden = !open;
    head.setAttribute('aria-expanded', String(open));
  });
  return el('li', { className: 'block', data: { height: block.index, hash: block.hash } }, head, panel);
}

/** Puts `wanted` into `list`, touching only what differs. */
function place(list, wanted) {
  const keep = new Set(wanted);
  for (const child of [...list.children]) if (!keep.has(child)) child.remove();
  wanted.forEach((row, at) => {
    if (list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null);
  });
}

/** Screen readers hear of a new block this often at most. */
const ANNOUNCE_MS = 10_000;
let announced = { hash: null, at: 0 };

function announceNewest(block) {
  if (!block || block.hash === announced.hash || Date.now() - announced.at < ANNOUNCE_MS) return;
  if (announced.hash !== null) announce(`Block ${block.index} arrived`);
  announced = { hash: block.hash, at: Date.now() };
}

function drawBlocks() {
  const blocks = store.get('blocks');
  if (blocks === null) return;
  const own = store.get('wallet')?.address ?? null;
  const keys = blocks.map((block) => `${block.hash} ${own}`);
  const keep = new Set(keys);
  for (const key of rows.keys()) if (!keep.has(key)) rows.delete(key);
  blocks.forEach((block, at) => {
    if (!rows.has(keys[at])) rows.set(keys[at], blockRow(block, own));
  });
  place(byId('blocks'), keys.map((key) => rows.get(key)));
  byId('blocks-empty').hidden = blocks.length !== 1 || blocks[0].index !== 0;
  const range = olderRange(blocks);
  byId('older-blocks').hidden = range === null;
  announceNewest(blocks[0]);
  setText(byId('blocks-rest'), blocks.length < WINDOW_MAX ? '' : `The newest ${countText(WINDOW_MAX)} blocks are shown here.`);
}

async function resolve() {
  await perform(byId('resolve-conflicts'), 'chain-note', async () => {
    const answer = await api.resolveConflicts();
    setFunds(answer.funds);
    toast(answer.message);
  });
}

export function startChain() {
  store.watch(['blocks', 'wallet'], drawBlocks);
  onClick('resolve-conflicts', resolve);
  onClick('load-chain', () => perform(byId('load-chain'), 'chain-note', reloadBlocks));
  onClick('older-blocks', () => perform(byId('older-blocks'), 'chain-note', loadOlder));
}

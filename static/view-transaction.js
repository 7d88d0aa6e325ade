// One transaction as a row, in a block and in the list of open ones.

import { amountText, unitsFromJson } from './amount.js';
import { amountElement, copyButton, el, hashElement } from './dom.js';

function party(address, own, what) {
  if (address === 'MINING') return el('span', { className: 'party' }, 'New coins');
  if (own && address === own) return el('strong', { className: 'party' }, 'You');
  return hashElement(String(address ?? ''), what);
}

function details(transaction) {
  const parts = [];
  const fee = unitsFromJson(transaction.fee ?? 0);
  if (fee) parts.push(el('span', {}, `Fee ${amountText(fee)}`));
  if (transaction.id) {
    parts.push(el('span', { className: 'hash' }, 'Id ', el('code', { title: transaction.id }, String(transaction.id).slice(0, 8)),
      copyButton(String(transaction.id), 'transaction id')));
  }
  return parts;
}

/** A list item for one transaction; `own` is the wallet's address, to say "You". */
export function transactionRow(transaction, own) {
  const received = own && transaction.recipient === own;
  const sent = own && transaction.sender === own;
  const sign = received ? '+' : sent ? '−' : '';
  const tone = received ? 'received' : sent ? 'sent' : 'other';
  const parties = el('span', { className: 'parties' },
    party(transaction.sender, own, 'sender'),
    el('span', {}, el('span', { className: 'arrow', aria: { label: 'to' }, role: 'img' }, '→ '),
      party(transaction.recipient, own, 'recipient')));
  const row = el('li', { className: `transaction ${tone}`, data: { id: transaction.id ?? '' } },
    parties,
    amountElement(unitsFromJson(transaction.amount), sign));
  if (transaction.memo) {
    row.append(el('p', { className: 'memo' }, el('bdi', {}, String(transaction.memo))));
  }
  const more = details(transaction);
  if (more.length > 0) row.append(el('p', { className: 'more' }, ...more));
  return row;
}

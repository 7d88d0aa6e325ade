// The payment form, its confirmation, and its outcome.
//
// Invariant: a payment and its retries carry the same request id until the node has answered, so
// that a lost answer cannot make it pay twice.

import { api } from './api.js';
import { prefixOf } from './address.js';
import { amountText } from './amount.js';
import { byId, clearNote, describe, note, setText, toast } from './dom.js';
import { checkPayment } from './forms.js';
import { store } from './store.js';
import { setFunds } from './sync.js';

const FIELDS = ['recipient', 'amount', 'fee', 'memo'];
/** Fields whose mistakes are shown: those that were left once, and all after a try to send. */
const touched = new Set();
/** { text, id } of the payment whose answer is still unknown. */
let unanswered = null;

function typed() {
  return Object.fromEntries(FIELDS.map((field) => [field, byId(`send-${field}`).value]));
}

function judge() {
  const wallet = store.get('wallet');
  return checkPayment(typed(), {
    network: store.get('status')?.network ?? null,
    address: wallet ? wallet.address : null,
    funds: wallet ? wallet.funds : null,
  });
}

function drawErrors() {
  const { errors } = judge();
  for (const field of FIELDS) {
    const error = touched.has(field) ? errors[field] ?? '' : '';
    setText(byId(`send-${field}-error`), error);
    byId(`send-${field}`).setAttribute('aria-invalid', String(error !== ''));
  }
  return errors;
}

function drawReady() {
  const why = store.get('locked') ? 'Open the wallet to send.' : store.get('wallet') === false ? 'Create or load a wallet to send.' : '';
  byId('send-submit').disabled = why !== '';
  setText(byId('send-why'), why);
  const prefix = prefixOf(store.get('status')?.network) ?? 'far';
  byId('send-recipient').placeholder = `${prefix}1…`;
}

function newRequestId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function review(event) {
  event.preventDefault();
  for (const field of FIELDS) touched.add(field);
  clearNote('send-note');
  const errors = drawErrors();
  const first = FIELDS.find((field) => errors[field]);
  if (first) {
    if (first === 'fee' || first === 'memo') byId('send-more').open = true;
    byId(`send-${first}`).focus();
    return;
  }
  confirm(judge().payment);
}

function confirm(payment) {
  const dialog = byId('send-dialog');
  const wallet = store.get('wallet');
  const total = payment.amount + payment.fee;
  const rows = [];
  if (payment.fee > 0n) rows.push(['Fee', amountText(payment.fee)], ['In all', amountText(total)]);
  if (payment.memo !== '') rows.push(['Memo', payment.memo]);
  if (wallet && wallet.funds !== null) rows.push(['Funds afterwards', amountText(wallet.funds - total)]);
  setText(byId('confirm-amount'), amountText(payment.amount));
  setText(byId('confirm-recipient'), payment.recipient);
  setText(byId('confirm-send'), `Send ${amountText(payment.amount)}`);
  describe(byId('confirm-details'), rows);
  clearNote('confirm-note');
  byId('confirm-send').onclick = () => send(payment);
  byId('confirm-back').onclick = () => dialog.close();
  dialog.showModal();
  byId('confirm-send').focus();
}

function requestIdOf(payment) {
  const text = [payment.recipient, payment.amount, payment.fee, payment.memo].join('\n');
  if (unanswered?.text !== text) unanswered = { text, id: newRequestId() };
  return unanswered.id;
}

async function send(payment) {
  const button = byId('confirm-send');
  if (button.getAttribute('aria-busy') === 'true') return;
  button.setAttribute('aria-busy', 'true');
  clearNote('confirm-note');
  try {
    const answer = await api.send(payment, requestIdOf(payment));
    unanswered = null;
    byId('send-dialog').close();
    byId('send-form').reset();
    touched.clear();
    drawErrors();
    setFunds(answer.funds);
    toast(answer.message);
    byId('send-recipient').focus();
  } catch (error) {
    const tail = error.unanswered ? ' Sending again is safe: it is paid once at most.' : '';
    if (!error.unanswered) unanswered = null;
    note('confirm-note', error.message + tail);
  } finally {
    button.removeAttribute('aria-busy');
  }
}

export function startSend() {
  const form = byId('send-form');
  form.addEventListener('submit', review);
  form.addEventListener('input', drawErrors);
  form.addEventListener('focusout', (event) => {
    if (!FIELDS.includes(event.target.name) || event.target.value === '') return;
    touched.add(event.target.name);
    drawErrors();
  });
  store.watch(['wallet', 'locked', 'status'], drawReady);
}

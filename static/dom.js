// Small tools for drawing.
//
// Owns: making elements, messages beside a control, copying, amounts and hashes as elements.
// Never: markup from text. Every text of the node goes through textContent.

import { amountParts } from './amount.js';
import { agoText, dateText, isoText, shorten } from './format.js';

/** The element with this id; a missing one is a mistake in index.html. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element "${id}"`);
  return found;
}

/** Runs `action` when the button with this id is pressed. */
export function onClick(id, action) {
  byId(id).addEventListener('click', action);
}

/**
 * An element. `properties` are set as properties (className, hidden, type), `data` and `aria` as
 * attributes; `children` are elements or texts.
 */
export function el(tag, { data = {}, aria = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  Object.assign(made.dataset, data);
  for (const [name, value] of Object.entries(aria)) made.setAttribute(`aria-${name}`, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Sets a text only when it differs, so that screen readers and selections are left alone. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Says something to screen readers only. */
export function announce(text) {
  setText(byId('announce'), text);
}

const TOAST_MS = 10_000;
let toastTimer = 0;

function message(slot, text, action) {
  const close = el('button', { className: 'close', aria: { label: 'Close message' } }, '×');
  close.addEventListener('click', () => slot.replaceChildren());
  slot.replaceChildren(el('div', { className: 'message' }, el('span', { className: 'note-text' }, text), action, close));
}

/** Says that something went well, over the page and for a while, so that nothing moves. */
export function toast(text) {
  const slot = byId('toast');
  message(slot, text, null);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => slot.replaceChildren(), TOAST_MS);
}

/** Says in the card of an action why it failed, until the next try; `action` may add one button. */
export function note(id, text, action = null) {
  message(byId(id), text, action);
}

export function clearNote(id) {
  byId(id).replaceChildren();
}

/** Runs an action of a button: not twice at once, and a failure goes to the card's note. */
export async function perform(button, noteId, action) {
  if (button.getAttribute('aria-busy') === 'true') return;
  button.setAttribute('aria-busy', 'true');
  try {
    clearNote(noteId);
    await action();
  } catch (error) {
    note(noteId, error.message);
  } finally {
    button.removeAttribute('aria-busy');
  }
}

async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // A page from another machine over plain HTTP has no clipboard interface.
  const area = el('textarea', { value: text, className: 'unseen', readOnly: true });
  (document.querySelector('dialog[open]') ?? document.body).append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  if (!done) throw new Error('the browser did not allow copying');
  return undefined;
}

/** Copies and lets the button say so for a moment, without changing its width. */
export async function copyWith(button, text) {
  let said = 'Copied';
  try {
    await toClipboard(text);
  } catch {
    said = 'Not allowed';
  }
  button.dataset.said = said;
  announce(said);
  clearTimeout(Number(button.dataset.timer));
  button.dataset.timer = String(setTimeout(() => delete button.dataset.said, 1600));
}

/** A small button that copies `text`; `what` names it for screen readers. */
export function copyButton(text, what) {
  return el('button', {
    className: 'copy', title: `Copy ${what}`, data: { copy: text }, aria: { label: `Copy ${what}` },
  });
}

/** One listener for every button with data-copy. */
export function startCopying() {
  document.addEventListener('click', (event) => {
    const button = event.target.closest('[data-copy]');
    if (button?.dataset.copy) copyWith(button, button.dataset.copy);
  });
}

/** A hash or address with both its ends, whole in its title, with a button to copy it. */
export function hashElement(text, what) {
  return el('span', { className: 'hash' }, el('code', { title: text }, shorten(text)), copyButton(text, what));
}

/** An amount, its decimals quiet where they say nothing; `sign` may be '+' or '−'. */
export function amountElement(units, sign = '') {
  if (units === null) return el('span', { className: 'amount' }, '–');
  const [whole, fraction] = amountParts(units);
  const quiet = fraction === '.00' ? el('span', { className: 'fraction' }, fraction) : fraction;
  return el('span', { className: 'amount' }, sign + whole, quiet);
}

/** "12 s ago", kept right by startClock. */
export function timeElement(seconds) {
  return el('time', { dateTime: isoText(seconds), title: dateText(seconds), data: { seconds } },
    agoText(seconds, Date.now() / 1000));
}

const CLOCK_MS = 5_000;

/** Keeps every relative time of the page right. */
export function startClock() {
  setInterval(() => {
    if (document.hidden) return;
    const now = Date.now() / 1000;
    for (const time of document.querySelectorAll('time[data-seconds]')) {
      setText(time, agoText(Number(time.dataset.seconds), now));
    }
  }, CLOCK_MS);
}

/** Rows of a description list, from pairs of a name and a text or element. */
export function describe(list, pairs) {
  list.replaceChildren(...pairs.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
}

/** Asks a yes/no question; answers true for yes. */
export function ask(title, text, yes) {
  const dialog = byId('ask-dialog');
  setText(byId('ask-title'), title);
  setText(byId('ask-text'), text);
  setText(byId('ask-yes'), yes);
  return new Promise((resolve) => {
    byId('ask-yes').onclick = () => dialog.close('yes');
    byId('ask-no').onclick = () => dialog.close('');
    dialog.onclose = () => resolve(dialog.returnValue === 'yes');
    dialog.returnValue = '';
    dialog.showModal();
    byId('ask-no').focus();
  });
}

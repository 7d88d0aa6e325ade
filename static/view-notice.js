// The notice under the head of the page: what a reorganization did to one's payments. It stays until it
// is closed, and each reorganization is told of once.

import { byId, el } from './dom.js';
import { noticeOf } from './reorganization.js';
import { store } from './store.js';

function drawNotice() {
  const slot = byId('notice');
  const { last, details, own } = store.get('reorganization') ?? {};
  const notice = last ? noticeOf(last, details, own) : null;
  slot.hidden = notice === null;
  if (!notice) return;
  const close = el('button', { className: 'close', aria: { label: 'Close notice' } }, '×');
  close.addEventListener('click', () => store.set({ reorganization: null }));
  slot.replaceChildren(
    el('div', { className: 'notice-text' }, el('strong', {}, notice.title),
      ...notice.lines.map((line) => el('p', {}, line))),
    close);
}

export function startNotice() {
  store.watch(['reorganization'], drawNotice);
}

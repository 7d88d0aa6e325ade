// The tab Open Transactions, and the tabs themselves.

import { byId, onClick, perform, setText } from './dom.js';
import { countText, plural } from './format.js';
import { store } from './store.js';
import { loadOpen } from './sync.js';
import { transactionRow } from './view-transaction.js';

/** Rows drawn at most; the rest is counted. */
const ROWS_MAX = 200;

function drawCount() {
  const count = store.get('status')?.mempool?.count ?? 0;
  byId('open-count').hidden = count === 0;
  setText(byId('open-count'), countText(count));
}

function drawOpen() {
  const open = store.get('open');
  const own = store.get('wallet')?.address ?? null;
  const list = Array.isArray(open) ? open : [];
  byId('transactions').replaceChildren(...list.slice(0, ROWS_MAX).map((one) => transactionRow(one, own)));
  byId('transactions-empty').hidden = !Array.isArray(open) || open.length > 0;
  const rest = byId('transactions-rest');
  rest.hidden = open !== 'many' && list.length <= ROWS_MAX;
  setText(rest, open === 'many'
    ? 'So many are waiting that they are only loaded when you ask for them.'
    : `And ${plural(list.length - ROWS_MAX, 'more transaction')}.`);
}

/** Tabs in the usual way: arrow keys move, Home and End jump, only the selected one is in the tab order. */
function startTabs(list) {
  const tabs = [...list.querySelectorAll('[role=tab]')];
  const select = (tab) => {
    for (const one of tabs) {
      one.setAttribute('aria-selected', String(one === tab));
      one.tabIndex = one === tab ? 0 : -1;
      byId(one.getAttribute('aria-controls')).hidden = one !== tab;
    }
  };
  list.addEventListener('click', (event) => {
    const tab = event.target.closest('[role=tab]');
    if (tab) select(tab);
  });
  list.addEventListener('keydown', (event) => {
    const at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    const tab = tabs[(to + tabs.length) % tabs.length];
    select(tab);
    tab.focus();
  });
}

export function startOpen() {
  startTabs(document.querySelector('.tabs'));
  store.watch(['status'], drawCount);
  store.watch(['open', 'wallet'], drawOpen);
  onClick('load-transactions', () =>
    perform(byId('load-transactions'), 'open-note', loadOpen));
}

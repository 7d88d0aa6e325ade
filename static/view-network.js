// The network place: add, load and remove nodes, and what is known of each.

import { api } from './api.js';
import { byId, el, onClick, perform, setText, timeElement, toast } from './dom.js';
import { countText } from './format.js';
import { nodeError } from './forms.js';
import { guestRows, peerRows, rowsText } from './peers.js';
import { store } from './store.js';
import { loadNodes } from './sync.js';

async function remove(button, node) {
  await perform(button, 'nodes-note', async () => {
    const answer = await api.removeNode(node);
    toast(answer.message);
    await loadNodes();
    byId('node-address').focus();
  });
}

function removeButton(node) {
  const button = el('button', { className: 'small remove', data: { node }, aria: { label: `Remove ${node}` } }, 'Remove');
  button.addEventListener('click', () => remove(button, node));
  return button;
}

function nodeRow(row) {
  const isGuest = row.node === null;
  const facts = [el('span', { className: 'state', data: { tone: row.tone } }, el('span', { className: 'dot' }), row.words)];
  if (row.way) facts.push(el('span', {}, row.way));
  if (row.height !== null) facts.push(el('span', {}, `Height ${countText(row.height)}`));
  if (row.lastSeen !== null) facts.push(el('span', {}, 'Seen ', timeElement(row.lastSeen)));
  if (!row.added && !isGuest) facts.push(el('span', {}, 'Found by itself'));
  const name = isGuest ? el('span', { className: 'node-name' }, 'A node without an address') : el('code', { className: 'node-name' }, row.node);
  return el('li', { className: 'node', data: { node: row.node ?? '' } },
    name, el('span', { className: 'node-facts' }, ...facts), isGuest ? null : removeButton(row.node),
    row.reason ? el('p', { className: 'hint node-reason' }, row.reason) : null);
}

/** Text of the rows last drawn: equal answers draw nothing, so that focus stays. */
let drawn = '';

function drawNodes() {
  const answer = store.get('nodes');
  if (answer === null) return;
  const rows = [...peerRows(answer), ...guestRows(answer)];
  const text = JSON.stringify(rows);
  if (text === drawn) return;
  drawn = text;
  const focused = document.activeElement?.closest('.node')?.dataset.node;
  byId('nodes').replaceChildren(...rows.map(nodeRow));
  if (focused) [...byId('nodes').children].find((one) => one.dataset.node === focused)?.querySelector('button')?.focus();
  setText(byId('nodes-count'), rowsText(rows));
  byId('nodes-empty').hidden = rows.length > 0;
}

function showError(error) {
  setText(byId('node-address-error'), error ?? '');
  byId('node-address').setAttribute('aria-invalid', String(error !== null));
}

async function add(event) {
  event.preventDefault();
  const input = byId('node-address');
  const error = nodeError(input.value);
  showError(error);
  if (error) {
    input.focus();
    return;
  }
  await perform(byId('add-node'), 'nodes-note', async () => {
    const answer = await api.addNode(input.value.trim());
    input.value = '';
    toast(answer.message);
    await loadNodes();
  });
}

export function startNetwork() {
  byId('node-form').addEventListener('submit', add);
  byId('node-address').addEventListener('input', () => showError(null));
  onClick('load-nodes', () => perform(byId('load-nodes'), 'nodes-note', loadNodes));
  store.watch(['nodes'], drawNodes);
}

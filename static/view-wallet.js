// The wallet: funds, address, create, load; the one time a private key is shown.
//
// Never: keeping the private key after its dialog closed.

import { api } from './api.js';
import { amountParts, amountText } from './amount.js';
import { pendingOf } from './blocks.js';
import { ask, byId, copyWith, el, onClick, perform, setText, toast } from './dom.js';
import { store } from './store.js';
import { setWallet } from './sync.js';

function drawFunds(funds) {
  const slot = byId('funds-amount');
  const text = amountText(funds);
  if (slot.textContent === text) return;
  if (funds === null) {
    slot.replaceChildren(text);
    return;
  }
  const [whole, fraction] = amountParts(funds);
  slot.replaceChildren(whole, el('span', { className: 'fraction' }, fraction));
  // The width in em, so that the style sheet can make any amount fit: decimals are smaller.
  byId('funds').style.setProperty('--width', .66 * (whole.length + .72 * fraction.length));
}

function drawPending() {
  const wallet = store.get('wallet');
  const open = store.get('open');
  const { leaving, arriving } = Array.isArray(open) && wallet ? pendingOf(open, wallet.address) : {};
  const parts = [];
  if (leaving) parts.push(`${amountText(leaving)} leaving`);
  if (arriving) parts.push(`${amountText(arriving)} arriving`);
  setText(byId('pending'), parts.join(' · ') || 'Nothing pending');
}

function drawWallet() {
  const wallet = store.get('wallet');
  const locked = store.get('locked');
  const state = locked ? 'locked' : wallet === null ? 'loading' : wallet ? 'ready' : 'none';
  byId('wallet').dataset.state = state;
  setText(byId('wallet-title'), state === 'none' || state === 'locked' ? 'Wallet' : 'Funds');
  byId('wallet-body').hidden = state === 'none' || state === 'locked';
  byId('wallet-empty').hidden = state !== 'none';
  byId('wallet-locked').hidden = state !== 'locked';
  byId('wallet-actions').hidden = state === 'locked';
  drawFunds(wallet ? wallet.funds : null);
  setText(byId('address'), wallet ? wallet.address : '–');
  byId('copy-address').dataset.copy = wallet ? wallet.address : '';
}

let privateKey = '';

function drawKey(shown) {
  const slot = byId('key-private');
  slot.dataset.hidden = String(!shown);
  setText(slot, shown ? privateKey : '•'.repeat(32));
  byId('key-show').setAttribute('aria-pressed', String(shown));
  setText(byId('key-show'), shown ? 'Hide' : 'Show');
}

function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  const link = el('a', { href: url, download: name });
  link.click();
  URL.revokeObjectURL(url);
}

function showKey(created) {
  privateKey = created.private_key ?? '';
  const address = created.public_key;
  const port = store.get('status')?.port ?? '';
  setText(byId('key-address'), address);
  setText(byId('key-file'),
    `The node keeps it in wallet-${port}.txt in its data directory. If that file and your copy are both lost, so are the coins.`);
  drawKey(false);
  byId('key-show').onclick = () => drawKey(byId('key-private').dataset.hidden === 'true');
  byId('key-copy').onclick = () => copyWith(byId('key-copy'), privateKey);
  byId('key-download').onclick = () =>
    download(`farthing-wallet-${address.slice(-8)}.txt`, `address ${address}\nprivate key ${privateKey}\n`);
  byId('key-done').onclick = () => byId('key-dialog').close();
  byId('key-dialog').onclose = () => {
    privateKey = '';
    drawKey(false);
  };
  byId('key-dialog').showModal();
}

async function create() {
  if (store.get('wallet') || store.get('status')?.wallet_set_up) {
    const sure = await ask('Create another wallet?',
      'This node then uses the new wallet, which starts empty. The file of the present one is kept beside it under a dated name; its coins stay there.',
      'Create wallet');
    if (!sure) return;
  }
  await perform(byId('create-wallet'), 'wallet-note', async () => {
    const created = await api.createWallet();
    setWallet(created.public_key, created.funds);
    showKey(created);
  });
}

/** Reads the wallet, asking for the token if the node wants it; `said` tells that it worked. */
async function load(button, said) {
  await perform(button, 'wallet-note', async () => {
    const { public_key: address, funds } = await api.wallet({ quiet: false });
    setWallet(address, funds);
    toast(said);
  });
}

/** Asks for the token; see api.js `onTokenRequired`. */
export function askToken(refusedBefore) {
  const dialog = byId('token-dialog');
  const input = byId('token-input');
  input.value = '';
  setText(byId('token-file'), `token-${store.get('status')?.port ?? location.port}.txt`);
  setText(byId('token-error'), refusedBefore ? 'The node did not accept this token.' : '');
  return new Promise((resolve) => {
    let given = null;
    byId('token-form').onsubmit = (event) => {
      event.preventDefault();
      given = input.value.trim() || null;
      dialog.close();
    };
    byId('token-cancel').onclick = () => dialog.close();
    dialog.onclose = () => {
      input.value = '';
      resolve(given);
    };
    if (!dialog.open) dialog.showModal();
    input.focus();
  });
}

export function startWallet() {
  store.watch(['wallet', 'locked'], drawWallet);
  store.watch(['wallet', 'open'], drawPending);
  onClick('create-wallet', create);
  onClick('load-wallet', (event) => load(event.target, 'The wallet was loaded.'));
  onClick('enter-token', (event) => load(event.target, 'The wallet is open.'));
}

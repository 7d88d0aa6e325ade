// Mining: one block on demand, and the switch that keeps the node mining.

import { api } from './api.js';
import { amountText } from './amount.js';
import { summary } from './blocks.js';
import { byId, clearNote, el, note, onClick, perform, setText, toast } from './dom.js';
import { clockText, hashRateText, plural } from './format.js';
import { store } from './store.js';
import { setFunds } from './sync.js';

const TICK_MS = 1000;

function drawSearch(on) {
  byId('mine').setAttribute('aria-busy', String(on));
  setText(byId('mine'), on ? 'Searching…' : 'Mine a block');
  byId('mine-cancel').hidden = !on;
  byId('mine-progress').hidden = !on;
}

function found(answer) {
  setFunds(answer.funds);
  const { reward } = summary(answer.block, null);
  toast(reward === null ? answer.message : `${answer.message} ${amountText(reward)} coins are yours.`);
}

function failed(error) {
  if (error.name === 'AbortError') {
    toast('Stopped. No block was found.');
    return;
  }
  let action = null;
  if (error.status === 409) {
    action = el('button', { className: 'small', id: 'mine-resolve' }, 'Resolve conflicts');
    action.addEventListener('click', () => byId('resolve-conflicts').click());
  }
  note('mine-note', error.message, action);
}

async function mine() {
  if (byId('mine').getAttribute('aria-busy') === 'true') return;
  clearNote('mine-note');
  const stop = new AbortController();
  const started = performance.now();
  const tick = () => setText(byId('mine-elapsed'), clockText((performance.now() - started) / 1000));
  const timer = setInterval(tick, TICK_MS);
  tick();
  drawSearch(true);
  byId('mine-cancel').onclick = () => stop.abort();
  try {
    found(await api.mine(stop.signal));
  } catch (error) {
    failed(error);
  } finally {
    clearInterval(timer);
    const hadFocus = document.activeElement === byId('mine-cancel');
    drawSearch(false);
    if (hadFocus) byId('mine').focus();
  }
}

function drawReady() {
  const wallet = store.get('wallet');
  byId('mine').disabled = wallet === false;
  setText(byId('mine-hint'), wallet === false
    ? 'Create or load a wallet first: the new coins of a block need an owner.'
    : 'Each block you find brings new coins to your wallet.');
}

function drawMiner() {
  const miner = store.get('status')?.miner;
  const on = miner?.on === true;
  byId('miner-switch').setAttribute('aria-checked', String(on));
  byId('miner-switch').disabled = store.get('wallet') === false && !on;
  const threads = byId('miner-threads');
  if (Number.isSafeInteger(miner?.threads) && document.activeElement !== threads) threads.value = String(miner.threads);
  const blocks = store.get('miner')?.blocks_found;
  const parts = [hashRateText(miner?.hash_rate), plural(miner?.threads, 'thread')];
  if (Number.isSafeInteger(blocks)) parts.push(`${plural(blocks, 'block')} found`);
  setText(byId('miner-state'), on ? parts.join(' · ') : 'Off. Turn it on to mine block after block.');
}

/** The number of threads typed, or null with a note that says what is wrong. */
function threadsTyped() {
  const threads = Number(byId('miner-threads').value);
  if (Number.isSafeInteger(threads) && threads >= 1) return threads;
  note('mine-note', 'Enter a whole number of threads, 1 or more.');
  return null;
}

async function setMiner(on) {
  const threads = threadsTyped();
  if (threads === null) return;
  await perform(byId('miner-switch'), 'mine-note', async () => {
    const miner = await api.setMiner(on, threads);
    store.set({ status: { ...store.get('status'), miner: { hash_rate: NaN, ...miner } } });
  });
}

export function startMine() {
  onClick('mine', mine);
  onClick('miner-switch', () =>
    setMiner(byId('miner-switch').getAttribute('aria-checked') !== 'true'));
  // The node is told at once, also while it does not mine: the next look at it would undo what was typed.
  byId('miner-threads').addEventListener('change', () => setMiner(store.get('status')?.miner?.on === true));
  store.watch(['wallet'], drawReady);
  store.watch(['status', 'miner', 'wallet'], drawMiner);
}

// Fetching what the page shows.
//
// Owns: which answers are fetched when, and putting them into the store. Never: drawing, deciding
// when (live.js does).

import { api, ApiError } from './api.js';
import { unitsFromJson } from './amount.js';
import { newestRange, olderRange, PAGE_SIZE, withNewer, withOlder } from './blocks.js';
import { keyOf, NEWS_SECONDS } from './reorganization.js';
import { store } from './store.js';

/** A larger pool is fetched only when asked for, so that a busy node is not drained by its page. */
const POOL_BYTES_UNASKED_MAX = 1_000_000;

let shownMax = PAGE_SIZE;

async function refreshWallet(status, again) {
  if (!status.wallet_set_up) {
    store.set({ wallet: false, locked: false });
    return;
  }
  if (store.get('locked') && !again) return;
  const known = store.get('wallet');
  try {
    if (known && !again) {
      const { funds } = await api.balance();
      setFunds(funds);
    } else {
      const { public_key: address, funds } = await api.wallet({ quiet: true });
      setWallet(address, funds);
    }
  } catch (error) {
    if (!error.needsToken) throw error;
    store.set({ wallet: null, locked: true });
  }
}

/** Puts a wallet into the store; unchanged values cause no drawing. */
export function setWallet(address, fundsJson) {
  const funds = unitsFromJson(fundsJson);
  const known = store.get('wallet');
  if (known && known.address === address && known.funds === funds) return;
  store.set({ wallet: { address, funds }, locked: false });
}

/** Takes over the funds that an action answered with. */
export function setFunds(fundsJson) {
  const wallet = store.get('wallet');
  if (wallet && unitsFromJson(fundsJson) !== null) setWallet(wallet.address, fundsJson);
}

/** `count` blocks from `from` on, in as many answers as the node makes of them. */
async function readBlocks({ from, count }) {
  const blocks = [];
  while (blocks.length < count) {
    const answer = await api.blocks(from + blocks.length, count - blocks.length);
    if (answer.length === 0) break;
    blocks.push(...answer);
  }
  return blocks;
}

/** Reads what is new at the tip; after a reorganization the newest page, and keeps what it joins. */
async function refreshBlocks(status) {
  const window = store.get('blocks') ?? [];
  if (window[0]?.hash === status.tip) return;
  const joined = withNewer(window, await readBlocks(newestRange(window, status.height)), shownMax);
  if (joined) {
    store.set({ blocks: joined });
    return;
  }
  const page = await readBlocks(newestRange([], status.height));
  store.set({ blocks: withNewer(window, page, shownMax) ?? withNewer([], page, shownMax) ?? [] });
}

/** Reads one more page of older blocks. */
export async function loadOlder() {
  const range = olderRange(store.get('blocks') ?? []);
  if (!range) return;
  const older = await readBlocks(range);
  const longer = withOlder(store.get('blocks') ?? [], older);
  shownMax = Math.max(shownMax, longer.length);
  store.set({ blocks: longer });
}

/** Reads the newest blocks again from scratch. */
export async function reloadBlocks() {
  const status = await api.status();
  shownMax = PAGE_SIZE;
  store.set({ status, blocks: null });
  await refreshBlocks(status);
}

/** Reads all open transactions, however many. */
export async function loadOpen() {
  store.set({ open: await api.transactions() });
}

async function refreshOpen(status, kinds) {
  const count = status.mempool?.count;
  const known = store.get('open');
  if ((status.mempool?.bytes ?? 0) > POOL_BYTES_UNASKED_MAX) {
    store.set({ open: 'many' });
  } else if (count === 0) {
    if (!Array.isArray(known) || known.length > 0) store.set({ open: [] });
  } else if (!Array.isArray(known) || known.length !== count || kinds.size > 0) {
    await loadOpen();
  }
}

export async function loadNodes() {
  store.set({ nodes: await api.nodes() });
}

async function refreshMiner(status) {
  if (store.get('locked')) return;
  if (!status.miner?.on) store.set({ miner: null });
  else store.set({ miner: await api.miner() });
}

/** The reorganization that was told of last, or found at the first look; unknown before that. */
let toldOf;

/**
 * Tells of a reorganization once the wallet is known, or is known not to be shown here. Only the
 * page knows whose the payments are: the node tells everybody the same.
 */
async function refreshNotice({ last_reorganization: last }) {
  const key = keyOf(last);
  const wallet = store.get('wallet');
  if (key === toldOf || (wallet === null && !store.get('locked'))) return;
  const isNews = key !== null && (toldOf !== undefined || Date.now() / 1000 - last.time < NEWS_SECONDS);
  const before = toldOf;
  toldOf = key;
  if (!isNews) return;
  const own = wallet ? wallet.address : null;
  try {
    const details = own ? await api.reorganization(own) : null;
    store.set({ reorganization: { last, details, own } });
  } catch (error) {
    toldOf = before;
    throw error;
  }
}

/** Looks at everything the place shown needs; `kinds` says what happened since the last look. */
export async function refresh(kinds) {
  try {
    const status = await api.status();
    if (store.get('status')?.chain_id !== status.chain_id) store.set({ blocks: null });
    store.set({ status });
    const again = kinds.has('status') || kinds.has('open') || kinds.has('shown') || kinds.has('token');
    const parts = [refreshWallet(status, again), refreshMiner(status)];
    if (store.get('place') === 'wallet') parts.push(refreshBlocks(status), refreshOpen(status, kinds));
    else parts.push(loadNodes());
    const results = await Promise.allSettled(parts);
    results.push(...await Promise.allSettled([refreshNotice(status)]));
    const failed = results.map((result) => result.reason).find((reason) => reason && !reason.needsToken);
    if (failed) throw failed;
    store.set({ trouble: '' });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    store.set({ trouble: error.message });
  }
}

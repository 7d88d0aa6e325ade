// The head of the page: places, link to the node, facts of the chain; and "This node".

import { amountParts, amountText, unitsFromJson } from './amount.js';
import { byId, describe, hashElement, setText } from './dom.js';
import { bytesText, countText, durationText, hashRateText, plural, progressText, shortNumber, UNKNOWN } from './format.js';
import { store } from './store.js';

const LINKS = {
  connecting: ['Connecting', 'wait'],
  live: ['Live', 'good'],
  polling: ['Every few seconds', 'wait'],
};

function drawLink() {
  const status = store.get('status');
  const trouble = store.get('trouble');
  let [text, tone] = LINKS[store.get('stream')];
  if (status && !status.synced) [text, tone] = [progressText(status), 'wait'];
  if (trouble) [text, tone] = [trouble, 'bad'];
  byId('link').dataset.tone = tone;
  setText(byId('link-text'), text);
}

function drawFacts() {
  const status = store.get('status');
  if (!status) return;
  const issued = unitsFromJson(status.issued);
  const facts = {
    height: countText(status.height),
    spacing: Number.isFinite(status.spacing) ? `${countText(status.spacing)} s` : UNKNOWN,
    'hash-rate': hashRateText(status.hash_rate),
    issued: issued === null ? UNKNOWN : amountParts(issued)[0],
    open: countText(status.mempool?.count),
    peers: countText(status.peers),
  };
  for (const [name, text] of Object.entries(facts)) setText(byId(`fact-${name}`), text);
  const chip = byId('wallet-network');
  chip.hidden = status.network === 'main';
  setText(chip, `${status.network} network`);
}

/** Seconds that the clock may be off before nothing is mined, as in the node. */
const CLOCK_OFFSET_MAX = 15;

/** What is said of the node's clock, if it seems to be wrong. */
function clockRows({ clock_offset: offset, clock_behind: behind }) {
  const row = (seconds, way) => [['Clock', `${durationText(seconds)} ${way}: set it right`]];
  if (Math.abs(offset) > CLOCK_OFFSET_MAX) return row(Math.abs(offset), offset > 0 ? 'behind' : 'ahead');
  return Number.isFinite(behind) ? row(behind, 'behind') : [];
}

function drawAbout() {
  const status = store.get('status');
  if (!status || store.get('place') !== 'network') return;
  const issued = unitsFromJson(status.issued);
  describe(byId('about'), [
    ['Network', String(status.network)],
    ['Chain id', hashElement(status.chain_id, 'chain id')],
    ['Newest block', hashElement(status.tip, 'hash of the newest block')],
    ['State', status.synced ? 'Up to date' : progressText(status)],
    ...clockRows(status),
    ['Difficulty', shortNumber(status.difficulty)],
    ['Network hash rate', hashRateText(status.hash_rate)],
    ['Own hash rate', status.miner?.on ? hashRateText(status.miner.hash_rate) : 'Not mining'],
    ['Coins issued', issued === null ? UNKNOWN : amountText(issued)],
    ['Pending', `${plural(status.mempool?.count, 'transaction')}, ${bytesText(status.mempool?.bytes)}`],
    ['Port', String(status.port ?? UNKNOWN)],
    ['Version', String(status.version)],
  ]);
}

const TITLES = { wallet: 'Farthing', network: 'Network · Farthing' };

function drawPlace() {
  const place = store.get('place');
  document.title = TITLES[place];
  for (const section of document.querySelectorAll('.place')) section.hidden = section.dataset.place !== place;
  for (const link of document.querySelectorAll('.places a')) {
    if (link.dataset.place === place) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
}

function placeOf(path) {
  return path === '/network' ? 'network' : 'wallet';
}

/** Draws the head; `look` is called when another place is opened. */
export function startStatus(look) {
  const go = () => {
    store.set({ place: placeOf(location.pathname) });
    look('place');
  };
  document.addEventListener('click', (event) => {
    const link = event.target.closest('.places a, .brand');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    if (location.pathname !== link.pathname) history.pushState(null, '', link.pathname);
    go();
  });
  addEventListener('popstate', go);
  store.set({ place: placeOf(location.pathname) });
  store.watch(['place'], drawPlace);
  store.watch(['stream', 'trouble', 'status'], drawLink);
  store.watch(['status'], drawFacts);
  store.watch(['status', 'place'], drawAbout);
}

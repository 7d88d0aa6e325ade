// The rows of the list of nodes.
//
// Owns: how the two lists of `GET /nodes` (the nodes that were added, the peers with their state)
// become one. Pure.

import { countText, plural } from './format.js';

/** Rows shown at most; a node has far fewer peers. */
export const ROWS_MAX = 200;

const STATES = {
  connected: ['Connected', 'good'],
  syncing: ['Catching up', 'wait'],
  connecting: ['Connecting', 'wait'],
  new: ['Not tried yet', 'wait'],
  unreachable: ['Not reachable', 'bad'],
  refused: ['Refused', 'bad'],
  banned: ['Refused for a while', 'bad'],
};

/** The words and the tone of a peer's state; a state this page does not know is shown as it is. */
export function stateOf(state) {
  if (typeof state !== 'string' || state === '') return ['Added', 'wait'];
  return Object.hasOwn(STATES, state) ? STATES[state] : [state.replaceAll('-', ' '), 'wait'];
}

/** How a connected peer is spoken with; '' for one that is not. */
function wayOf(peer) {
  if (peer.state !== 'connected') return '';
  if (peer.outgoing && peer.incoming) return 'Live, opened by both';
  if (peer.outgoing) return 'Live, opened here';
  if (peer.incoming) return 'Live, opened there';
  return peer.live ? 'Live' : 'Called over HTTP';
}

const heightOf = (peer) => (Number.isSafeInteger(peer.height) ? peer.height : null);
const lastSeenOf = (peer) => (Number.isFinite(peer.last_seen) && peer.last_seen > 0 ? peer.last_seen : null);

/** One row for each node that came by itself and has no address here, in the order in which they came. */
export function guestRows(answer) {
  const guests = Array.isArray(answer.guests) ? answer.guests : [];
  return guests.slice(0, ROWS_MAX).map((guest) => ({
    node: null, added: false, words: 'Guest', tone: 'good', way: 'Live, opened there',
    height: heightOf(guest), lastSeen: lastSeenOf(guest), reason: '',
  }));
}

/** One row for each node, those that were added first, each list in the order of the node. */
export function peerRows(answer) {
  const details = new Map((answer.peers ?? []).map((peer) => [peer.node, peer]));
  const names = new Set([...(answer.all_nodes ?? []), ...details.keys()]);
  const added = new Set(answer.all_nodes ?? []);
  return [...names].slice(0, ROWS_MAX).map((node) => {
    const peer = details.get(node) ?? {};
    const [words, tone] = stateOf(peer.state);
    return {
      node,
      added: added.has(node),
      words,
      tone,
      way: wayOf(peer),
      height: heightOf(peer),
      lastSeen: lastSeenOf(peer),
      reason: typeof peer.message === 'string' ? peer.message : '',
    };
  });
}

/** What the rows count: "1 of 2 peers connected, 1 guest"; '' for none. */
export function rowsText(rows) {
  const peers = rows.filter((row) => row.node !== null);
  const connected = peers.filter((row) => row.tone === 'good').length;
  const guests = rows.length - peers.length;
  const parts = [];
  if (peers.length > 0) parts.push(`${countText(connected)} of ${plural(peers.length, 'peer')} connected`);
  if (guests > 0) parts.push(plural(guests, 'guest'));
  return parts.join(', ');
}

/** A node as the last segment of a path: `host:port` raw, anything unexpected escaped. */
export function nodeSegment(node) {
  return encodeURIComponent(node).replaceAll('%3A', ':').replaceAll('%5B', '[').replaceAll('%5D', ']');
}

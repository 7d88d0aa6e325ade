// What the page knows of the node.
//
// Owns: one value for each thing shown. Views listen to the keys they draw; whoever learns something
// sets it. Never: fetching, drawing.

/** An EventTarget that tells of changes: one event for each changed key, named after it. */
export class Store extends EventTarget {
  #values;

  constructor(values) {
    super();
    this.#values = { ...values };
  }

  get(key) {
    return this.#values[key];
  }

  /** Sets several keys, then tells of those that changed. */
  set(values) {
    const changed = Object.keys(values).filter((key) => !Object.is(values[key], this.#values[key]));
    for (const key of changed) this.#values[key] = values[key];
    for (const key of changed) this.dispatchEvent(new Event(key));
  }

  /** Calls `draw` now and whenever one of `keys` changes. */
  watch(keys, draw) {
    for (const key of keys) this.addEventListener(key, () => draw());
    draw();
  }
}

/** The page's own store. `null` means: not known yet. */
export const store = new Store({
  /** 'wallet' or 'network'. */
  place: 'wallet',
  /** 'connecting', 'live' (events arrive) or 'polling' (the node is asked every few seconds). */
  stream: 'connecting',
  /** Why the last look failed, in the node's words; '' when it did not. */
  trouble: '',
  /** The answer of GET /status. */
  status: null,
  /** { address, funds } with funds in base units; false when the node has no wallet. */
  wallet: null,
  /** Whether the node refuses the wallet to this page until it has the token. */
  locked: false,
  /** The window of the newest blocks, see blocks.js. */
  blocks: null,
  /** A reorganization to tell of: { last, details, own }, see reorganization.js; else null. */
  reorganization: null,
  /** Open transactions; 'many' when there are too many to fetch unasked. */
  open: null,
  /** The answer of GET /nodes. */
  nodes: null,
  /** The answer of GET /miner, or null. */
  miner: null,
});

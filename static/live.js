// Knowing when to look again.
//
// Owns: the stream of events, the fallback to asking every few seconds, and the pause between two
// looks. Never: what is looked at.

/** Events come in bursts (a block brings a status); one look answers all of them. */
const GATHER_MS = 150;
/** Between looks without events. */
const POLL_MS = 3_000;
/** Between looks with events: only against an event that got lost. */
const CHECK_MS = 20_000;
const RETRY_MIN_MS = 2_000;
const RETRY_MAX_MS = 30_000;
const KINDS = ['block', 'transaction', 'peers', 'miner', 'status'];

/**
 * Calls `look(kinds)` at once, after events and every few seconds; `kinds` is the set of events since the
 * last look. One look at a time. `tell` learns whether the stream is 'live' or 'polling'. A hidden
 * page holds no stream, since a browser opens few connections to one node.
 * Answers a function that looks again soon.
 */
export function startLive(look, tell) {
  const kinds = new Set();
  let source = null;
  let live = false;
  let busy = false;
  let timer = 0;
  let retry = 0;
  let retryMs = RETRY_MIN_MS;

  function schedule(ms) {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(run, ms);
  }

  async function run() {
    if (busy) return;
    busy = true;
    const gathered = new Set(kinds);
    kinds.clear();
    try {
      await look(gathered);
    } finally {
      busy = false;
      schedule(kinds.size > 0 ? GATHER_MS : live ? CHECK_MS : POLL_MS);
    }
  }

  function soon(kind) {
    kinds.add(kind);
    if (!busy) schedule(GATHER_MS);
  }

  function setLive(on) {
    live = on;
    tell(on ? 'live' : 'polling');
  }

  function close() {
    clearTimeout(retry);
    source?.close();
    source = null;
  }

  function open() {
    close();
    source = new EventSource('/events');
    source.addEventListener('open', () => {
      retryMs = RETRY_MIN_MS;
      setLive(true);
      soon('open');
    });
    source.addEventListener('error', () => {
      close();
      setLive(false);
      soon('lost');
      retry = setTimeout(open, retryMs);
      retryMs = Math.min(retryMs * 2, RETRY_MAX_MS);
    });
    for (const kind of KINDS) source.addEventListener(kind, () => soon(kind));
  }

  document.addEventListener('visibilitychange', () => {
    if (document.hidden) {
      close();
      clearTimeout(timer);
    } else {
      open();
      soon('shown');
    }
  });
  if (!document.hidden) open();
  schedule(0);
  return soon;
}

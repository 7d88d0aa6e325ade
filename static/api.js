// The node's HTTP interface.
//
// Owns: every request of the page, the access token, and what a failure says. No other module calls
// fetch. Never: retries on its own (a payment must not be sent twice by accident).

import { paymentJson } from './forms.js';
import { nodeSegment } from './peers.js';

/** A read that takes longer has lost its node. Mining is exempt: it waits for a block. */
const READ_TIMEOUT_MS = 20_000;
const TOKEN_KEY = 'farthing-token';

/** A request that did not succeed. `message` is the node's own sentence where it gave one. */
export class ApiError extends Error {
  constructor(status, code, message, body = {}) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.body = body;
  }

  /** The node wants the token of its token file. */
  get needsToken() {
    return (this.status === 401 || this.status === 403) && /^token-/.test(this.code);
  }

  /** No answer came, so it is not known whether the node acted. */
  get unanswered() {
    return this.status === 0;
  }
}

let askForToken = async () => null;
let tellAccepted = () => {};

/**
 * `ask` gets the token from the person: an async function of "was one refused?" to the token or null.
 * `accepted` is called when the node took it.
 */
export function onTokenRequired(ask, accepted) {
  askForToken = ask;
  tellAccepted = accepted;
}

function storedToken() {
  try {
    return sessionStorage.getItem(TOKEN_KEY);
  } catch {
    return null; // storage switched off: the token is then asked for each time
  }
}

function storeToken(token) {
  try {
    if (token) sessionStorage.setItem(TOKEN_KEY, token);
    else sessionStorage.removeItem(TOKEN_KEY);
  } catch {
    /* as above */
  }
}

function failure(status, text) {
  try {
    const body = JSON.parse(text);
    if (body && typeof body.message === 'string') {
      return new ApiError(status, String(body.code ?? ''), body.message, body);
    }
  } catch {
    /* not JSON: said below */
  }
  return new ApiError(status, '', `The node answered with status ${status} and no explanation.`);
}

async function once(method, path, { body, signal }, token) {
  const headers = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (token) headers.Authorization = `Bearer ${token}`;
  const init = { method, headers, body, signal, cache: 'no-store', credentials: 'omit', redirect: 'error' };
  try {
    const answer = await fetch(path, init);
    const text = await answer.text();
    if (!answer.ok) throw failure(answer.status, text);
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof ApiError || signal?.reason?.name === 'AbortError') throw error;
    if (error instanceof SyntaxError) {
      throw new ApiError(0, 'malformed', 'The node’s answer could not be read.');
    }
    throw new ApiError(0, 'unreachable', 'The node does not answer. Is it still running?');
  }
}

/** Asks once more with a token while the person gives one. */
async function withToken(method, path, options) {
  let token = storedToken();
  let asked = false;
  for (;;) {
    try {
      const answer = await once(method, path, options, token);
      if (asked) {
        storeToken(token);
        tellAccepted();
      }
      return answer;
    } catch (error) {
      if (!(error instanceof ApiError && error.needsToken) || options.quiet) throw error;
      storeToken(null);
      const given = await askForToken(token !== null);
      if (given === null) throw error;
      token = given;
      asked = true;
    }
  }
}

function read(path, options = {}) {
  return withToken('GET', path, { ...options, signal: AbortSignal.timeout(READ_TIMEOUT_MS) });
}

function act(method, path, options = {}) {
  return withToken(method, path, options);
}

export const api = {
  status: () => read('/status'),
  blocks: (from, count) => read(`/chain?from=${from}&count=${count}`),
  transactions: () => read('/transactions'),
  reorganization: (address) => read(`/reorganization/${address}`),
  /** `quiet` reads of operator routes do not ask for the token: they run by themselves. */
  balance: () => read('/balance', { quiet: true }),
  nodes: () => read('/nodes', { quiet: true }),
  miner: () => read('/miner', { quiet: true }),
  wallet: ({ quiet }) => read('/wallet', { quiet }),
  createWallet: () => act('POST', '/wallet'),
  send: (payment, requestId) => act('POST', '/transaction', { body: paymentJson(payment, requestId) }),
  mine: (signal) => act('POST', '/mine', { signal }),
  setMiner: (on, threads) => act('POST', '/miner', { body: JSON.stringify({ on, threads }) }),
  resolveConflicts: () => act('POST', '/resolve-conflicts'),
  addNode: (node) => act('POST', '/node', { body: JSON.stringify({ node }) }),
  removeNode: (node) => act('DELETE', `/node/${nodeSegment(node)}`),
};

// The start of the page: every view once, then the stream of events.

import { onTokenRequired } from './api.js';
import { startClock, startCopying } from './dom.js';
import { startLive } from './live.js';
import { store } from './store.js';
import { refresh } from './sync.js';
import { startChain } from './view-chain.js';
import { startMine } from './view-mine.js';
import { startNetwork } from './view-network.js';
import { startNotice } from './view-notice.js';
import { startOpen } from './view-open.js';
import { startSend } from './view-send.js';
import { startStatus } from './view-status.js';
import { askToken, startWallet } from './view-wallet.js';

let soon = () => {};

onTokenRequired(askToken, () => soon('token'));
startCopying();
startClock();
startStatus((kind) => soon(kind));
startWallet();
startSend();
startMine();
startChain();
startOpen();
startNetwork();
startNotice();
soon = startLive(refresh, (stream) => store.set({ stream }));

// The status of a feed without any fault.

import { type FeedStatus, FeedTally } from '../../src/gateway/feeds/feed-status.ts';

export const soundFeed: FeedStatus = {
  ...new FeedTally(),
  endpoint: 'tcp://gpu-1:5557',
  mode: 'connect',
  topic: '',
  replayEndpoint: 'tcp://gpu-1:5657',
  state: 'live',
  error: null,
  failure: null,
  isDead: false,
  openMs: 1000,
  publishers: 1,
  disconnects: 0,
  replaying: false,
  proven: true,
  loss: null,
  lastSeq: 3,
  lostBatches: 0,
  batches: 4,
};

// Listens for a KV-event publisher in another way than configured, to find the fault in the configuration.

import { readKvFrames } from '../../wire/kv-events.ts';
import type { FeedAddress } from '../feeds/feed-address.ts';
import { FeedCommons } from '../feeds/feed-commons.ts';
import { type FeedConnection, OutgoingConnection } from '../feeds/feed-connection.ts';
import { IncomingConnection } from '../feeds/incoming-connection.ts';
import { until } from '../until.ts';

/** Publishers reconnect within a second. */
const publisherMsMax = 3000;
const topicsMax = 16;

export type ListeningAddress = Pick<FeedAddress, 'mode' | 'endpoint'>;

/** The topics of the batches received until `meanwhile` ends, for an empty topic filter. */
export async function topicsHeard(address: ListeningAddress, meanwhile: () => Promise<unknown>): Promise<string[]> {
  const topics = new Set<string>();
  const connection = listening(address, ([topic], isBatch) => {
    if (isBatch && topics.size < topicsMax) topics.add(Buffer.from(topic!).toString('utf8'));
  });
  await meanwhile();
  connection.close();
  return [...topics];
}

/** Whether a publisher connects within a few seconds. */
export async function hasPublisher(address: ListeningAddress): Promise<boolean> {
  const connection = listening(address, () => undefined);
  await until(() => connection.publishers > 0 || connection.error !== null, publisherMsMax);
  const found = connection.publishers > 0;
  connection.close();
  return found;
}

function listening(
  { mode, endpoint }: ListeningAddress,
  onMessage: (frames: readonly Uint8Array[], isBatch: boolean) => void,
): FeedConnection {
  const address = { mode, endpoint, topic: '', replayEndpoint: null };
  const listener = {
    connected: () => undefined,
    message: async (frames: readonly Uint8Array[]) => onMessage(frames, readKvFrames(frames).kind !== 'failed'),
  };
  const commons = new FeedCommons(() => performance.now());
  const connection =
    mode === 'bind'
      ? new IncomingConnection(address, listener, commons)
      : new OutgoingConnection(address, listener, commons);
  connection.open();
  return connection;
}

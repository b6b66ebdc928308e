// Parses an engine's answer to `/kv_event_sources`: where it publishes the KV events of each rank.

import { announcedEndpoint, type FeedAddress, reachable } from '../feeds/feed-address.ts';
import { readSocketPlace } from '../feeds/socket-place.ts';
import { feedTextLengthMax, ranksMax } from './engine-limits.ts';
import { plainText, quoted, type Remarks } from './remarks.ts';

export interface FeedSource extends FeedAddress {
  readonly rank: number;
}

/**
 * What an engine announces about the KV events of one rank. `off`: it publishes none. `other-publisher`: its publisher
 * is null or a kind that this gateway can't receive.
 */
export type FeedAnnouncement =
  | { readonly kind: 'source'; readonly rank: number; readonly source: FeedSource }
  | { readonly kind: 'off'; readonly rank: number }
  | { readonly kind: 'other-publisher'; readonly rank: number; readonly publisher: string };

/** One entry of the answer. */
interface AnnouncedSource {
  readonly enable_kv_cache_events?: unknown;
  readonly publisher?: unknown;
  readonly endpoint?: unknown;
  readonly replay_endpoint?: unknown;
  readonly topic?: unknown;
}

/**
 * By rank, at most `ranksMax` + 1 of them; empty if it announces nothing. @param host the engine's host as we reach it
 */
export function readAnnouncements(answer: unknown, host: string, remarks: Remarks): FeedAnnouncement[] {
  if (typeof answer !== 'object' || answer === null) return [];
  const announcements: FeedAnnouncement[] = [];
  for (const [rank, source] of Object.entries(answer as Record<string, unknown>)) {
    if (announcements.length > ranksMax) break;
    if (!/^\d{1,15}$/.test(rank)) remarks.add(`/kv_event_sources has the rank ${quoted(rank)}`);
    else announcements.push(readAnnouncement(Number(rank), isObject(source) ? source : {}, host, remarks));
  }
  return announcements;
}

function readAnnouncement(rank: number, announced: AnnouncedSource, host: string, remarks: Remarks): FeedAnnouncement {
  const { enable_kv_cache_events: enabled, publisher, endpoint, replay_endpoint: replay, topic } = announced;
  if (enabled === false) return { kind: 'off', rank };
  if ((publisher ?? 'zmq') !== 'zmq')
    return { kind: 'other-publisher', rank, publisher: plainText(publisher).slice(0, feedTextLengthMax) };
  const address = isText(endpoint) ? announcedEndpoint(endpoint, host) : null;
  if (address === null || !isEndpoint(address.endpoint, address.mode)) {
    if (endpoint !== undefined && endpoint !== null)
      remarks.add(`its KV events have the address ${quoted(endpoint)}, which can't be used`);
    return { kind: 'off', rank };
  }
  const replayAt = isText(replay) ? reachable(replay, host) : null;
  const replayEndpoint = replayAt !== null && isEndpoint(replayAt, 'connect') ? replayAt : null;
  if (replayEndpoint === null && replay !== undefined && replay !== null) {
    remarks.add(`its KV events are replayed from the address ${quoted(replay)}, which can't be used`);
  }
  if (typeof topic === 'string' && topic.length > feedTextLengthMax) {
    remarks.add(`its KV events have a topic of ${topic.length} characters`);
    return { kind: 'off', rank };
  }
  const source = { rank, ...address, replayEndpoint, topic: typeof topic === 'string' ? topic : '' };
  return { kind: 'source', rank, source };
}

/** Whether our end can be opened at the endpoint. */
function isEndpoint(endpoint: string, mode: FeedAddress['mode']): boolean {
  const place = readSocketPlace(endpoint);
  return typeof place !== 'string' && (mode === 'bind' || place.kind === 'ipc' || place.host !== null);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= feedTextLengthMax;
}

function isObject(value: unknown): value is AnnouncedSource {
  return typeof value === 'object' && value !== null;
}

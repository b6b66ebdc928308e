// The address of one publisher's KV events, and which side binds it.

import { readSocketPlace } from './socket-place.ts';

export interface FeedAddress {
  /** `bind`: this gateway listens and the engine connects. vLLM picks the binding side by the form of its endpoint. */
  readonly mode: 'connect' | 'bind';
  readonly endpoint: string;
  /** Subscription prefix: only batches whose topic starts with it arrive. */
  readonly topic: string;
  /** Endpoint that replays batches, or null. */
  readonly replayEndpoint: string | null;
}

/** Parses an endpoint as an operator writes it: `[bind:]tcp://HOST:PORT` or `[bind:]ipc://PATH`. */
export function statedEndpoint(text: string): Pick<FeedAddress, 'mode' | 'endpoint'> {
  const [, prefix, endpoint] = /^(bind:|connect:)?(.*)$/s.exec(text)!;
  return { mode: prefix === 'bind:' ? 'bind' : 'connect', endpoint: endpoint! };
}

/** @param use `events`: either side may bind. `replay`: the engine binds. @returns what to write instead, or null */
export function statedEndpointFault(text: string, use: 'events' | 'replay'): string | null {
  const { mode, endpoint } = statedEndpoint(text);
  const place = readSocketPlace(endpoint);
  if (typeof place === 'string') return place;
  if (use === 'replay' && mode === 'bind')
    return `${text} has a bind: prefix, but the engine binds its replay address itself`;
  if (mode === 'bind' || place.kind !== 'tcp' || place.host !== null) return null;
  const connecting = `tcp://HOST:${place.port} with the engine's host`;
  return use === 'replay'
    ? `${endpoint} is the engine's listening address: write ${connecting}`
    : `${endpoint} is a wildcard and can't be connected to: write bind:${endpoint} if the engine connects to this gateway, or ${connecting}`;
}

/**
 * Converts an endpoint that an engine announces. The engine binds wildcard, ipc and inproc endpoints; to any other it
 * connects, and this gateway binds. The engine's name for our host may not be an address here, so a non-loopback
 * endpoint is opened on all addresses.
 * @param host the engine's host as this gateway reaches it
 */
export function announcedEndpoint(endpoint: string, host: string): Pick<FeedAddress, 'mode' | 'endpoint'> {
  const engineBinds = endpoint.includes('*') || endpoint.includes('::') || /^(ipc|inproc):\/\//.test(endpoint);
  if (engineBinds) return { mode: 'connect', endpoint: reachable(endpoint, host) };
  const isLoopback = /^tcp:\/\/(127\.|localhost:)/.test(endpoint);
  return { mode: 'bind', endpoint: isLoopback ? endpoint : endpoint.replace(/^tcp:\/\/.*(?=:\d+$)/, 'tcp://*') };
}

/** Replaces the wildcard host of a bound address with `host`, so that it can be connected to. */
export function reachable(endpoint: string, host: string): string {
  return endpoint.replace(/^tcp:\/\/(\*|0\.0\.0\.0|\[?::\]?)(?=:\d+$)/, `tcp://${host}`);
}

export function isSameAddress(one: FeedAddress, other: FeedAddress): boolean {
  return (
    one.mode === other.mode &&
    one.endpoint === other.endpoint &&
    one.topic === other.topic &&
    one.replayEndpoint === other.replayEndpoint
  );
}

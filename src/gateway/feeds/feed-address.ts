// Where the KV events of one publisher come from, and which side opens the address.

import { readSocketPlace } from './socket-place.ts';

export interface FeedAddress {
  /** Which side binds is vLLM's choice by the form of the endpoint; the other one connects. */
  readonly mode: 'connect' | 'bind';
  readonly endpoint: string;
  /** Only batches whose topic begins with it. */
  readonly topic: string;
  /** Where batches can be asked for again; null: nowhere. */
  readonly replayEndpoint: string | null;
}

/** As an operator writes it: `[bind:]tcp://HOST:PORT` or `[bind:]ipc://PATH`. */
export function statedEndpoint(text: string): Pick<FeedAddress, 'mode' | 'endpoint'> {
  const [, prefix, endpoint] = /^(bind:|connect:)?(.*)$/s.exec(text)!;
  return { mode: prefix === 'bind:' ? 'bind' : 'connect', endpoint: endpoint! };
}

/** @param use `events`: either side may open it. `replay`: the engine does. @returns what to write instead, or null */
export function statedEndpointFault(text: string, use: 'events' | 'replay'): string | null {
  const { mode, endpoint } = statedEndpoint(text);
  const place = readSocketPlace(endpoint);
  if (typeof place === 'string') return place;
  if (use === 'replay' && mode === 'bind')
    return `${text} has a bind:, but the engine opens the address of replays itself`;
  if (mode === 'bind' || place.kind !== 'tcp' || place.host !== null) return null;
  const connecting = `tcp://HOST:${place.port} with the engine's host`;
  return use === 'replay'
    ? `${endpoint} is where the engine listens: write ${connecting}`
    : `${endpoint} is no address to connect to: write bind:${endpoint} if the engine connects to this gateway, or ${connecting}`;
}

/**
 * An endpoint as the engine has it. One with a wildcard, or of a kind that only publishers open, the engine binds;
 * otherwise it connects to us. Then its name for our host need not be an address here: all of ours but the loopback
 * one are opened.
 * @param host of the engine as we reach it
 */
export function announcedEndpoint(endpoint: string, host: string): Pick<FeedAddress, 'mode' | 'endpoint'> {
  const engineBinds = endpoint.includes('*') || endpoint.includes('::') || /^(ipc|inproc):\/\//.test(endpoint);
  if (engineBinds) return { mode: 'connect', endpoint: reachable(endpoint, host) };
  const isLoopback = /^tcp:\/\/(127\.|localhost:)/.test(endpoint);
  return { mode: 'bind', endpoint: isLoopback ? endpoint : endpoint.replace(/^tcp:\/\/.*(?=:\d+$)/, 'tcp://*') };
}

/** An address as bound, wildcards included -> one to connect to. */
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

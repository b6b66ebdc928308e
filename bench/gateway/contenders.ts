// The routers that the gateway bench always measures: kvoyant with everything on, kvoyant without tokens, the yardstick.

import { join } from 'node:path';
import type { Contender, EngineAddress } from './contender.ts';

/** A compiled kvoyant: its name in the table, and its dist folder. */
export interface Build {
  readonly name: string;
  readonly dist: string;
}

/** @param text NAME=DIST */
export function buildOf(text: string): Build {
  const at = text.indexOf('=');
  return { name: text.slice(0, at), dist: text.slice(at + 1) };
}

/** Default policy, exact tokens, KV events of every engine, decision log and metrics. */
export function everythingOn({ name, dist }: Build, nodeFlags: readonly string[] = []): Contender {
  return kvoyant(`${name}, default policy`, dist, ['--tokenizer', 'builtin'], true, nodeFlags);
}

/** The same with traces of this share of the requests, 0 to 1, and metrics every ten seconds, sent to a collector. */
export function traced(
  build: Build,
  share: number,
  collectorUrl: string,
  nodeFlags: readonly string[] = [],
): Contender {
  const { name, ...rest } = everythingOn(build, nodeFlags);
  return {
    ...rest,
    name: `${name}, ${100 * share} % traced`,
    environment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collectorUrl,
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: String(share),
      OTEL_METRIC_EXPORT_INTERVAL: '10000',
    },
  };
}

/** The same with several processes for connections. */
export function threaded({ name, dist }: Build, count: number): Contender {
  const flags = ['--tokenizer', 'builtin', '--threads', String(count)];
  return kvoyant(`${name}, ${count} threads`, dist, flags, true, []);
}

/** Round robin by request count: nothing is tokenized, no events are read. */
export function withoutTokens({ name, dist }: Build, nodeFlags: readonly string[] = []): Contender {
  return kvoyant(`${name}, round robin`, dist, ['--tokenizer', 'none', '--policy', 'round-robin'], false, nodeFlags);
}

export const bareRelay: Contender = {
  name: 'bare Node relay',
  about: 'raw sockets, one JSON.parse, engines in turn; the yardstick',
  command: (engines, port) => [
    process.execPath,
    join('bench', 'gateway', 'bare-relay.mjs'),
    String(port),
    ...engines.map(({ url }) => url),
  ],
};

function kvoyant(
  name: string,
  dist: string,
  flags: readonly string[],
  events: boolean,
  nodeFlags: readonly string[],
): Contender {
  const workerOf = ({ url, kvEvents, kvReplay }: EngineAddress): string =>
    events && kvEvents !== null ? `${url},kv-events=${kvEvents},kv-replay=${kvReplay}` : url;
  return {
    name,
    about: flags.join(' '),
    command: (engines, port, otherPort) => [
      process.execPath,
      ...nodeFlags,
      join(dist, 'cli', 'main.js'),
      'serve',
      ...['--port', String(port), '--admin-port', String(otherPort)],
      // The mock engines have no cache that a canary could find.
      '--no-canary',
      ...flags,
      ...engines.flatMap((engine) => ['--worker', workerOf(engine)]),
    ],
  };
}

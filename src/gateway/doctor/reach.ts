// Whether the engines of a configuration are there: each joins a temporary gateway, and nothing is computed.

import { type GatewayOptions, resolveConfig } from '../config/config.ts';
import type { EngineSpec } from '../config/engine-spec.ts';
import { readReferencedFiles } from '../config/referenced-files.ts';
import { shown } from '../engines/remarks.ts';
import { addressInUse } from '../feeds/bound-endpoint.ts';
import { engineAt, type Resolve, systemResolve } from '../fleet/worker-discovery.ts';
import { type WorkerEntry, workersOf } from './temporary-gateway.ts';

export interface Reach {
  /** Id of the worker, or its engine's address if that has not joined, or the name that has no address. */
  readonly worker: string;
  /** It could be used as configured. */
  readonly reached: boolean;
  /** What it serves, or why it can't be used. */
  readonly message: string;
}

/**
 * One entry for each worker, in the order of the configuration.
 * @param timeoutMs time for each engine to answer, and for its publisher of KV events
 * @throws ConfigError, TokenizerError
 */
export async function reachWorkers(
  options: GatewayOptions,
  timeoutMs: number,
  resolve: Resolve = systemResolve,
): Promise<Reach[]> {
  const config = resolveConfig(options);
  const { workers } = await readReferencedFiles(config);
  const specs = [...config.workers, ...workers];
  const names = new Map(
    await Promise.all(specs.map(async (spec) => [spec, await addressesOf(spec, resolve)] as const)),
  );
  const engines = specs.flatMap((spec) => names.get(spec)!.engines);
  const urls = new Set(engines.map(({ url }) => url));
  const isThere = (entries: readonly WorkerEntry[]): boolean =>
    [...urls].every((url) => entries.some((entry) => entry.url === url)) && entries.every(isSettled);
  const entries =
    urls.size === 0
      ? []
      : await workersOf({ ...options, workers: [...engines], workersFile: null, canary: false }, isThere, timeoutMs);
  return specs.flatMap((spec) => {
    const { engines: own, fault } = names.get(spec)!;
    if (fault !== null) return [{ worker: spec.url, reached: false, message: fault }];
    return own.flatMap(({ url }) => entries.filter((entry) => entry.url === url).map((entry) => reachOf(entry, spec)));
  });
}

interface Addresses {
  readonly engines: readonly EngineSpec[];
  readonly fault: string | null;
}

async function addressesOf(spec: EngineSpec, resolve: Resolve): Promise<Addresses> {
  if (spec.dns !== true) return { engines: [spec], fault: null };
  const { hostname } = new URL(spec.url);
  try {
    const addresses = await resolve(hostname);
    return { engines: addresses.map((address) => engineAt(spec, hostname, address)), fault: null };
  } catch (error) {
    return { engines: [], fault: `the name ${hostname} has no address: ${(error as Error).message}` };
  }
}

/** A slow engine may still join, and a publisher connect; what is unreachable or no engine will not. */
function isSettled({ id, state, reason, feed }: WorkerEntry): boolean {
  if (state === 'refused') return true;
  if (id === null) return state === 'joining' && reason !== null && !/ no answer within /.test(reason);
  return feed === null || feed === undefined || feed.publishers > 0 || feed.error !== null;
}

function reachOf(entry: WorkerEntry, { kvEvents, model }: EngineSpec): Reach {
  const { id, url, state, reason, models, eventsOffered = null, feed = null, remarks } = entry;
  const faulty = (message: string): Reach => ({ worker: id ?? url, reached: false, message });
  if (id === null || state === 'refused') return faulty(reason ?? 'it does not answer in time');
  const served = shown(models.join(', '));
  if (model !== undefined && !models.includes(model)) {
    return faulty(`it serves ${served}, and not ${model} as configured`);
  }
  const from = { setting: 'set', engine: 'as it says', events: 'as its events say', assumed: 'assumed' };
  const size = `block size ${entry.blockSize} (${from[entry.blockSizeFrom ?? 'assumed']})`;
  const what = `${served || 'no model'}, ${size}, ${entry.capacityBlocks} blocks`;
  if (eventsOffered === null) {
    if (kvEvents !== undefined) return faulty(`${what}; its KV events at ${kvEvents} are not used`);
    return { worker: id, reached: true, message: `${what}; no KV events, so its cache is guessed` };
  }
  const { endpoint, mode } = eventsOffered;
  if (feed === null) return faulty(`${what}; its KV events at ${endpoint} are not used; kvoyant doctor says more`);
  if (feed.error === addressInUse) {
    const message = `${what}; KV events not checked: ${endpoint} is in use here, perhaps by a running gateway`;
    return { worker: id, reached: true, message };
  }
  if (feed.error !== null) return faulty(`${what}; its KV events at ${endpoint}: ${feed.error}`);
  if (feed.publishers === 0) {
    const why = mode === 'bind' ? 'no publisher connects to' : 'no publisher answers at';
    return faulty(`${what}; ${why} ${endpoint}${feed.failure === null ? '' : ` (${feed.failure})`}`);
  }
  return { worker: id, reached: true, message: [`${what}; KV events at ${endpoint}`, ...remarks].join('; ') };
}

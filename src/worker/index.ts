// Starts N simulated engines in real time, each with its own HTTP port and event feed.

import type { KvEvent } from '../core/types.ts';
import { type EngineOptions, engineDefaults, engineProfiles, type StepTime } from '../sim/index.ts';
import { loadTokenizer } from '../tokens/load-tokenizer.ts';
import type { Tokenizer } from '../tokens/tokenizer.ts';
import type { KvPublisherOptions, PublishFault } from './kv-publisher.ts';
import { checkOptions, formatOf, type SimWorkersOptions } from './options.ts';
import { OutputVocabulary } from './output-vocabulary.ts';
import { sglangPageHash } from './sglang-page-hash.ts';
import { sha256BlockHash } from './sha256-block-hash.ts';
import { SimWorker } from './sim-worker.ts';

export type { PublishFault } from './kv-publisher.ts';
export { checkOptions, OptionError, type SimWorkersOptions, simWorkersDefaults } from './options.ts';
export type { SimWorker } from './sim-worker.ts';

/** PYTHONHASHSEED of the simulated engines. */
const hashSeed = '0';

export interface StartOptions extends Partial<Omit<SimWorkersOptions, 'tokenizer'>> {
  /** A loaded tokenizer is used as it is and not closed at the end. */
  readonly tokenizer?: string | Tokenizer;
  /** Replaces the profile's step time. */
  readonly stepTime?: StepTime;
  /** Fault injected into each batch of KV events of worker `index`, for tests of subscribers. */
  readonly publishFault?: (index: number, seq: number, events: readonly KvEvent[]) => PublishFault;
}

export interface SimWorkers {
  readonly workers: readonly SimWorker[];
  /** Kills every worker and starts an empty one on the same ports. Event batches restart at 0. */
  restart(): Promise<void>;
  /** Kills worker `index` as a crash would. */
  kill(index: number): Promise<void>;
  /** Starts an empty engine on the ports of a killed worker. */
  start(index: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * @throws OptionError for a value that is not allowed
 * @throws TokenizerError
 * @throws Error naming an address that is not available
 */
export async function startSimWorkers(startOptions: StartOptions = {}): Promise<SimWorkers> {
  const { tokenizer: given, stepTime, publishFault, ...settings } = startOptions;
  const options = checkOptions(typeof given === 'string' ? { ...settings, tokenizer: given } : settings);
  const tokenizer = typeof given === 'object' ? given : await loadTokenizer(options.tokenizer);
  const closeTokenizer = async (): Promise<void> => {
    if (typeof given !== 'object') await tokenizer.close();
  };
  const workers: SimWorker[] = [];
  const killAll = async (): Promise<void> => {
    await Promise.all(workers.map((worker) => worker.kill()));
  };
  try {
    const vocabulary = await OutputVocabulary.load(tokenizer, options.seed);
    const engine = engineOptions(options, vocabulary, stepTime);
    for (let index = 0; index < options.count; index++) {
      const worker = new SimWorker({
        ...options,
        port: options.port === 0 ? 0 : options.port + index,
        kvEvents: publisherOptions(options, index, publishFault),
        // Engines of one process must not generate the same request ids.
        seed: (options.seed + Math.imul(index, 0x9e3779b1)) | 0,
        engine,
        tokenizer,
        vocabulary,
      });
      await worker.start();
      workers.push(worker);
    }
  } catch (error) {
    await killAll();
    await closeTokenizer();
    throw error;
  }
  return {
    workers,
    kill: (index) => at(workers, index).kill(),
    start: (index) => at(workers, index).start(),
    restart: async () => {
      await killAll();
      for (const worker of workers) await worker.start();
    },
    close: async () => {
      await killAll();
      await closeTokenizer();
    },
  };
}

function engineOptions(
  options: SimWorkersOptions,
  vocabulary: OutputVocabulary,
  stepTime: StepTime | undefined,
): EngineOptions {
  const profile = engineProfiles[options.profile];
  return {
    ...engineDefaults,
    cache: options.cache,
    blockSize: options.blockSize,
    blocks: options.blocks,
    stepTokensMax: options.maxNumBatchedTokens,
    sequencesMax: options.maxNumSeqs,
    contextTokensMax: options.maxModelLen,
    unfinishedMax: options.maxNumQueuedReqs,
    order: options.schedulingPolicy,
    stepTime: stepTime ?? profile.stepTimeFor((options.blocks - 1) * options.blockSize),
    speculation: profile.speculation,
    blockHash: options.cache === 'radix' ? sglangPageHash : sha256BlockHash(hashSeed),
    sampleToken: vocabulary.sampler(),
  };
}

function publisherOptions(
  options: SimWorkersOptions,
  index: number,
  publishFault: StartOptions['publishFault'],
): KvPublisherOptions | null {
  if (!options.kvEvents) return null;
  const { host, kvEventsPort, kvEventsConnect, kvEventsTopic, kvEventsHashes, kvReplay, legacyReplay } = options;
  return {
    host,
    port: kvEventsPort === 0 ? 0 : kvEventsPort + index,
    connect: kvEventsConnect === null ? null : addToPort(kvEventsConnect, index),
    topic: kvEventsTopic,
    format: formatOf(options),
    hashes: kvEventsHashes,
    replay: !kvReplay ? null : legacyReplay ? 'legacy' : 'topic',
    replayPort: 0,
    bufferSteps: options.bufferSteps,
    ...(publishFault === undefined ? {} : { fault: (seq, events) => publishFault(index, seq, events) }),
  };
}

function addToPort(endpoint: string, index: number): string {
  return endpoint.replace(/\d+$/, (port) => String(Number(port) + index));
}

function at(workers: readonly SimWorker[], index: number): SimWorker {
  const worker = workers[index];
  if (worker === undefined) throw new RangeError(`no worker ${index}: there are ${workers.length}`);
  return worker;
}

// Options of simulated engines, named as on vLLM's command line, with checks and defaults.

import { z } from 'zod';
import {
  BlockPool,
  type CacheKind,
  cacheKinds,
  type EngineProfileName,
  engineDefaults,
  engineProfileNames,
} from '../sim/index.ts';
import { type HashForm, hashForms, type KvEventsFormat, kvEventsFormats } from '../wire/kv-events.ts';

export const workersMax = 1024;

export interface SimWorkersOptions {
  readonly count: number;
  readonly host: string;
  /** Port of the first engine. The others use the following ports. 0: any free ports. */
  readonly port: number;
  readonly kvEvents: boolean;
  /** Port of the first engine's publisher. The others use the following ports. 0: any free ports. */
  readonly kvEventsPort: number;
  /**
   * Address where the subscriber of the first engine binds. The others use the following ports. Null: the engines bind.
   */
  readonly kvEventsConnect: string | null;
  readonly kvEventsTopic: string;
  /** `auto`: the format of the engine that `cache` imitates. */
  readonly kvEventsFormat: KvEventsFormat | 'auto';
  /** Form of the hashes in vLLM's formats. */
  readonly kvEventsHashes: HashForm;
  /** Whether batches can be replayed. */
  readonly kvReplay: boolean;
  /** Replay replies have no topic, as before vLLM 0.26. */
  readonly legacyReplay: boolean;
  /** Batches kept for replays. */
  readonly bufferSteps: number;
  readonly model: string;
  /** `builtin` or the path of a tokenizer.json. */
  readonly tokenizer: string;
  readonly cache: CacheKind;
  /** Tokens per block or page. */
  readonly blockSize: number;
  /** Blocks, the null block included. */
  readonly blocks: number;
  readonly maxNumBatchedTokens: number;
  readonly maxNumSeqs: number;
  readonly maxModelLen: number;
  /** Waiting and running requests. Further ones get 503. */
  readonly maxNumQueuedReqs: number;
  readonly schedulingPolicy: 'fcfs' | 'priority';
  readonly profile: EngineProfileName;
  /** Simulated seconds per real second. */
  readonly speedup: number;
  readonly seed: number;
  /** Simulated milliseconds between arrival and submission to the engine. */
  readonly apiOverheadMs: number;
  readonly apiKey: string | null;
}

export const simWorkersDefaults: SimWorkersOptions = {
  count: 1,
  host: '127.0.0.1',
  port: 8100,
  kvEvents: true,
  kvEventsPort: 0,
  kvEventsConnect: null,
  kvEventsTopic: '',
  kvEventsFormat: 'auto',
  kvEventsHashes: 'int',
  kvReplay: true,
  legacyReplay: false,
  bufferSteps: 10_000,
  model: 'sim-llama-3.1-8b',
  tokenizer: 'builtin',
  cache: engineDefaults.cache,
  blockSize: engineDefaults.blockSize,
  blocks: engineDefaults.blocks,
  maxNumBatchedTokens: engineDefaults.stepTokensMax,
  maxNumSeqs: engineDefaults.sequencesMax,
  maxModelLen: engineDefaults.contextTokensMax,
  maxNumQueuedReqs: engineDefaults.unfinishedMax,
  schedulingPolicy: 'fcfs',
  profile: 'l40s-llama8b',
  speedup: 1,
  seed: 0,
  apiOverheadMs: 2,
  apiKey: null,
};

function integer(min: number, max: number): z.ZodType<number> {
  const allowed = `must be an integer in ${min} .. ${max}`;
  return z.int(allowed).min(min, allowed).max(max, allowed);
}

function number(min: number, max: number): z.ZodType<number> {
  const allowed = `must be a number in ${min} .. ${max}`;
  return z.number(allowed).min(min, allowed).max(max, allowed);
}

const port = integer(0, 65_535);
const endpointForm = 'must be like tcp://127.0.0.1:5557';
const text = z.string('must be a text').min(1, 'must not be empty');

const schema: z.ZodType<SimWorkersOptions> = z.strictObject({
  count: integer(1, workersMax),
  host: text,
  port,
  kvEvents: z.boolean('must be true or false'),
  kvEventsPort: port,
  kvEventsConnect: z
    .string(endpointForm)
    .regex(/^tcp:\/\/\S+:\d+$/, endpointForm)
    .nullable(),
  kvEventsTopic: z.string('must be a text'),
  kvEventsFormat: z.enum(['auto', ...kvEventsFormats], `must be one of auto, ${kvEventsFormats.join(', ')}`),
  kvEventsHashes: z.enum(hashForms, `must be one of ${hashForms.join(', ')}`),
  kvReplay: z.boolean('must be true or false'),
  legacyReplay: z.boolean('must be true or false'),
  bufferSteps: integer(1, 10_000_000),
  model: text,
  tokenizer: text,
  cache: z.enum(cacheKinds, `must be one of ${cacheKinds.join(', ')}`),
  blockSize: integer(1, 4096),
  blocks: integer(2, BlockPool.blocksMax),
  maxNumBatchedTokens: integer(1, 1_000_000),
  maxNumSeqs: integer(1, 65_536),
  maxModelLen: integer(2, 16_000_000),
  maxNumQueuedReqs: integer(1, 1_000_000),
  schedulingPolicy: z.enum(['fcfs', 'priority'], 'must be fcfs or priority'),
  profile: z.enum(engineProfileNames, `must be one of ${engineProfileNames.join(', ')}`),
  speedup: number(0.001, 100_000),
  seed: integer(0, 0xffffffff),
  apiOverheadMs: number(0, 60_000),
  apiKey: text.nullable(),
});

/** An option has an invalid value. */
export class OptionError extends Error {
  /** Command-line flag of the option. */
  readonly flag: string;

  constructor(flag: string, message: string) {
    super(`${flag} ${message}`);
    this.name = 'OptionError';
    this.flag = flag;
  }
}

/** Fills in the defaults. @throws OptionError */
export function checkOptions(options: Partial<SimWorkersOptions>): SimWorkersOptions {
  const result = schema.safeParse({ ...simWorkersDefaults, ...options });
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new OptionError(flagOf(String(issue?.path[0] ?? 'option')), issue?.message ?? 'is not allowed');
  }
  const checked = result.data;
  if (checked.kvEventsHashes === 'bytes' && formatOf(checked).startsWith('sglang')) {
    throw new OptionError(flagOf('kvEventsHashes'), 'must be int: SGLang sends no others');
  }
  for (const [key, first] of [
    ['port', checked.port],
    ['kvEventsPort', checked.kvEventsPort],
  ] as const) {
    if (first !== 0 && first + checked.count - 1 > 65_535) {
      throw new OptionError(flagOf(key), `leaves no room for ${checked.count} ports up to 65535`);
    }
  }
  return checked;
}

export function formatOf({ kvEventsFormat, cache }: SimWorkersOptions): KvEventsFormat {
  if (kvEventsFormat !== 'auto') return kvEventsFormat;
  return cache === 'radix' ? 'sglang-array' : 'map';
}

/** maxNumSeqs -> --max-num-seqs */
function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

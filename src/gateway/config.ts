// What can be set about a gateway: names, defaults, bounds; checked once, before anything starts.

import { z } from 'zod';
import { type PolicyName, policyNames } from '../core/index.ts';
import { type EngineSpec, parseEngineSpec } from './engine-spec.ts';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

export interface GatewayConfig {
  /** Engines behind the gateway; they need not be up yet. */
  readonly workers: readonly EngineSpec[];
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly policy: PolicyName;
  /** Of the `kv` policy: what a token of prefill costs against a token of occupied cache. */
  readonly overlapWeight: number;
  /** Of the `kv` policy: 0 takes the lowest cost, more spreads. */
  readonly temperature: number;
  readonly kvForm: '1895' | '1731';
  readonly seed: number;
  readonly inFlightCredit: boolean;
  readonly bookAt: 'choice' | 'first-token';
  /** `none`, `builtin`, or the path of a Hugging Face `tokenizer.json`. */
  readonly tokenizer: string;
  /** Accept engines whose tokenizer was seen to differ. */
  readonly trustTokenizer: boolean;
  /** `auto`: as the engine says. */
  readonly blockSize: number | 'auto';
  /** KV blocks of a worker that does not say how many it has. */
  readonly defaultCapacityBlocks: number;
  readonly decisionsMax: number;
  readonly bodyBytesMax: number;
  /** Between two looks at an engine that is not ready. */
  readonly probeIntervalMs: number;
  /** How long running answers may take to end once the gateway is told to stop. */
  readonly shutdownGraceMs: number;
  readonly logLevel: LogLevel;
  /** One line a request at level `info` instead of `debug`. */
  readonly logRequests: boolean;
}

/** As given by a caller: everything but the workers has a default. A worker may be written as on the command line. */
export type GatewayOptions = Partial<Omit<GatewayConfig, 'workers'>> & {
  readonly workers: readonly (string | EngineSpec)[];
};

/** A setting that can't be used; `setting` is its name in `GatewayConfig`. */
export class ConfigError extends Error {
  readonly setting: string;

  constructor(setting: string, message: string) {
    super(message);
    this.name = 'ConfigError';
    this.setting = setting;
  }
}

const integer = (min: number, max: number) => {
  const error = `must be an integer from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
};

const nonNegative = (max: number) => {
  const error = `must be a number from 0 to ${max}`;
  return z.number({ error }).min(0, { error }).max(max, { error });
};

const oneOf = <const T extends readonly string[]>(values: T) =>
  z.enum(values, { error: `must be one of ${values.join(', ')}` });

const text = z.string({ error: 'must be a text' }).min(1, { error: 'must not be empty' });
const flag = z.boolean({ error: 'must be true or false' });

const engineSpecs = z
  .array(z.union([z.string(), z.custom<EngineSpec>((value) => typeof value === 'object' && value !== null)]))
  .min(1, { error: 'names no worker; at least one is needed' });

const blockSizeMax = 65_536;

const isBlockSize = (value: unknown): boolean =>
  value === 'auto' || (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= blockSizeMax);

const schema = z.strictObject({
  workers: engineSpecs,
  host: text.default('127.0.0.1'),
  port: integer(0, 65_535).default(8000),
  policy: oneOf(policyNames).default('kv'),
  overlapWeight: nonNegative(1e6).default(1),
  temperature: nonNegative(1e6).default(0),
  kvForm: oneOf(['1895', '1731']).default('1895'),
  seed: integer(0, 4_294_967_295).default(0),
  inFlightCredit: flag.default(true),
  bookAt: oneOf(['choice', 'first-token']).default('choice'),
  tokenizer: text.default('none'),
  trustTokenizer: flag.default(false),
  blockSize: z
    .custom<number | 'auto'>(isBlockSize, { error: `must be auto or an integer from 1 to ${blockSizeMax}` })
    .default('auto'),
  defaultCapacityBlocks: integer(1, 100_000_000).default(8192),
  decisionsMax: integer(0, 1_000_000).default(1024),
  bodyBytesMax: integer(1024, 1_073_741_824).default(33_554_432),
  probeIntervalMs: integer(10, 3_600_000).default(1000),
  shutdownGraceMs: integer(0, 3_600_000).default(10_000),
  logLevel: oneOf(logLevels).default('info'),
  logRequests: flag.default(false),
});

/** @throws ConfigError for the first setting that is wrong. */
export function resolveConfig(options: GatewayOptions): GatewayConfig {
  const checked = schema.safeParse(options);
  if (!checked.success) {
    const issue = checked.error.issues[0]!;
    const setting = issue.code === 'unrecognized_keys' ? issue.keys[0]! : String(issue.path[0]);
    throw new ConfigError(setting, issue.code === 'unrecognized_keys' ? 'is not a known setting' : issue.message);
  }
  const workers = checked.data.workers.map((worker) =>
    typeof worker === 'string' ? checkedEngineSpec(worker) : worker,
  );
  const urls = new Set<string>();
  for (const worker of workers) {
    if (urls.has(worker.url)) throw new ConfigError('workers', `names ${worker.url} twice`);
    urls.add(worker.url);
  }
  return { ...checked.data, workers };
}

function checkedEngineSpec(text: string): EngineSpec {
  const spec = parseEngineSpec(text);
  if (spec.kind === 'wrong') throw new ConfigError('workers', spec.message);
  return spec.spec;
}

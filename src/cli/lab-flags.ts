// Flags shared by the experiments: workloads and policies, and the parsing of their values.

import { type Command, InvalidArgumentError, Option } from 'commander';
import { type PolicySpec, parsePolicySpec } from '../lab/index.ts';
import type { Arrivals, WorkloadSpec } from './lab-workload.ts';

export interface WorkloadFlags {
  readonly requests?: number;
  readonly jitterMs: number;
  readonly traceBlock?: number;
}

export function addWorkloadFlags(command: Command): Command {
  return command
    .option(
      '--requests <n>',
      'use only the first n (default: all of a file; 3,000 of a shipped workload)',
      integer(1, 1e9),
    )
    .option('--jitter-ms <ms>', 'delay every arrival by 0 to this, at random', number(0, 1e9), 0)
    .option('--trace-block <tokens>', 'tokens per block of hash_ids in a trace file', integer(1, 1e6));
}

export interface TokenizerFlag {
  readonly tokenizer: string;
}

export function addTokenizerFlag(command: Command): Command {
  return command.option(
    '--tokenizer <spec>',
    'for traces of raw text: builtin, or the path of a tokenizer.json',
    'builtin',
  );
}

export function workloadSpec(
  found: Pick<WorkloadSpec, 'name' | 'file'>,
  flags: WorkloadFlags & TokenizerFlag,
  seed: number,
  arrivals: Arrivals,
): WorkloadSpec {
  return {
    ...found,
    seed,
    requests: flags.requests ?? null,
    arrivals,
    jitterMs: flags.jitterMs,
    traceBlockTokens: flags.traceBlock ?? null,
    tokenizer: flags.tokenizer,
  };
}

export function list(text: string): string[] {
  const items = text.split(',').map((item) => item.trim());
  if (items.includes('')) throw new InvalidArgumentError('An item of the list is empty.');
  return items;
}

/** A policy option. The help shows its default as it is written on the command line. */
export function policyOption(flags: string, description: string, policies: readonly string[]): Option {
  return new Option(flags, description)
    .argParser(policyList)
    .default(policies.map(parsePolicySpec), policies.join(','));
}

export function policyArgument(text: string): PolicySpec {
  try {
    return parsePolicySpec(text);
  } catch (error) {
    if (error instanceof RangeError) throw new InvalidArgumentError(`${error.message}.`);
    throw error;
  }
}

export function policyList(text: string): PolicySpec[] {
  const policies = text.split(',').map((one) => policyArgument(one.trim()));
  const twice = policies.find((policy, at) => policies.findIndex((other) => other.text === policy.text) !== at);
  if (twice !== undefined) throw new InvalidArgumentError(`${twice.text} is given twice.`);
  return policies;
}

/** Seeds of repetitions: `5` is 1 to 5, `4-8` is 4 to 8. */
export function seedRange(text: string): number[] {
  const match = /^(?:([0-9]+)-)?([0-9]+)$/.exec(text.trim());
  const from = match?.[1] === undefined ? 1 : Number(match[1]);
  const to = Number(match?.[2]);
  if (match === null || !(to >= from) || to - from >= seedsMax || to > 4_294_967_295) {
    throw new InvalidArgumentError(`It must be a count from 1 to ${seedsMax} or a range like 4-8.`);
  }
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

const seedsMax = 1000;

/** The flag with its default as text. */
export function seedOption(count: number): Option {
  return new Option('--seeds <n|range>', 'repetitions with seeds 1 to n, or of a range: 4-8')
    .argParser(seedRange)
    .default(seedRange(`${count}`), `${count}`);
}

export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be an integer from ${min} to ${max}.`);
  };
}

export function number(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a number from ${min} to ${max}.`);
  };
}

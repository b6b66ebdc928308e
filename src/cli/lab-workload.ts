// Workload spec of an experiment: a built-in generator or a trace file, as plain data that a thread can build.

import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { jitterArrivals, speedUp, withArrivals } from '../trace/arrival-process.ts';
import { generateWorkload, isWorkloadName, requestsOf, workloadNames } from '../trace/generate-workload.ts';
import { readWorkload } from '../trace/read-workload.ts';
import type { Workload } from '../trace/workload.ts';
import { LabError } from './lab-error.ts';
import { TokenizerOnDemand } from './lab-tokenizer.ts';

export interface WorkloadSpec {
  /** Name in results. Unique in a comparison. */
  readonly name: string;
  /** Path, size and time identify the file. Null for a generator. */
  readonly file: { readonly path: string; readonly bytes: number; readonly modifiedMs: number } | null;
  /** Seed of the generator, the jitter, and values missing in a trace. */
  readonly seed: number;
  /** Number of first requests to use. Null: all of a trace, or a generator's default. */
  readonly requests: number | null;
  readonly arrivals: Arrivals;
  readonly jitterMs: number;
  /** Tokens per block of `hash_ids`, if the trace does not say. Null: the format's default. */
  readonly traceBlockTokens: number | null;
  /** Tokenizer for traces of raw text. */
  readonly tokenizer: string;
}

export type Arrivals =
  | { readonly kind: 'own' }
  | { readonly kind: 'speed'; readonly factor: number }
  | { readonly kind: 'rate'; readonly perS: number }
  | { readonly kind: 'closed-loop'; readonly concurrency: number };

/** @throws LabError `workload-unknown` */
export async function findWorkload(nameOrPath: string): Promise<Pick<WorkloadSpec, 'name' | 'file'>> {
  if (isWorkloadName(nameOrPath)) return { name: nameOrPath, file: null };
  const found = await stat(nameOrPath).catch(() => null);
  if (found === null) {
    throw new LabError(
      'workload-unknown',
      `workload ${JSON.stringify(nameOrPath)} is neither a file nor one of ${workloadNames.join(', ')}`,
    );
  }
  const file = { path: nameOrPath, bytes: found.size, modifiedMs: found.mtimeMs };
  return { name: basename(nameOrPath).replace(/\.gz$/, ''), file };
}

/** The spec with `times` the usual number of requests. Null for a trace, or if the number was given. */
export function lengthened(spec: WorkloadSpec, times: number): WorkloadSpec | null {
  if (times === 1) return spec;
  if (!isWorkloadName(spec.name) || spec.file !== null || spec.requests !== null) return null;
  return { ...spec, requests: times * requestsOf(spec.name) };
}

export async function buildWorkload(spec: WorkloadSpec): Promise<Workload> {
  const base = spec.file === null ? generated(spec) : await fromFile(spec, spec.file.path);
  return { ...arrivingAs(base, spec), name: spec.name };
}

function generated({ name, seed, requests, jitterMs }: WorkloadSpec): Workload {
  if (!isWorkloadName(name)) throw new LabError('workload-unknown', `workload ${name} is not shipped`);
  const workload = generateWorkload(name, seed, requests === null ? {} : { requests });
  return jitterMs > 0 ? jitterArrivals(workload, jitterMs, seed) : workload;
}

async function fromFile(spec: WorkloadSpec, path: string): Promise<Workload> {
  const tokenizer = new TokenizerOnDemand(spec.tokenizer);
  try {
    return await readWorkload(path, {
      seed: spec.seed,
      tokenizer,
      ...(spec.requests === null ? {} : { requests: spec.requests }),
      ...(spec.jitterMs === 0 ? {} : { jitterMs: spec.jitterMs }),
      ...(spec.traceBlockTokens === null ? {} : { blockTokens: spec.traceBlockTokens }),
    });
  } finally {
    await tokenizer.close();
  }
}

function arrivingAs(workload: Workload, { arrivals, seed }: WorkloadSpec): Workload {
  switch (arrivals.kind) {
    case 'own':
      return workload;
    case 'speed':
      return speedUp(workload, arrivals.factor);
    case 'rate': {
      const own = ownRatePerS(workload);
      if (own !== null) return speedUp(workload, arrivals.perS / own);
      return withArrivals(workload, { kind: 'poisson', ratePerS: arrivals.perS }, seed);
    }
    case 'closed-loop':
      return withArrivals(workload, { kind: 'closed-loop', concurrency: arrivals.concurrency }, seed);
  }
}

/** Requests / span of the arrivals. Null if all arrive at once. */
export function ownRatePerS({ requests }: Workload): number | null {
  const spanMs = requests.at(-1)!.arrivalMs - requests[0]!.arrivalMs;
  return spanMs === 0 ? null : (requests.length / spanMs) * 1000;
}

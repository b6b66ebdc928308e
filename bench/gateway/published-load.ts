// The load of `bench:gateway` and `bench:peers`, and the flags that they share.

import type { ParseArgsConfig } from 'node:util';
import type { GatewayBenchOptions } from './bench-gateway.ts';
import { type TextKind, textKinds } from './texts.ts';

/** For `parseArgs`. */
export const loadFlags = {
  rounds: { type: 'string', default: '1' },
  streams: { type: 'string', default: '16,64,256' },
  text: { type: 'string', multiple: true, default: [...textKinds] },
  /** Factor of the number of requests. */
  requests: { type: 'string', default: '1' },
  /** Requests before the first measurement, over both shapes of bodies. A router in Node compiles for some thousands. */
  'warm-up': { type: 'string', default: '400' },
  /** Several builds, to compare them in the same minutes. */
  build: { type: 'string', multiple: true, default: ['kvoyant=dist'] },
  /** For busy machines: late chunks are not merged. */
  lockstep: { type: 'boolean', default: false },
  json: { type: 'string' },
} satisfies ParseArgsConfig['options'];

export interface LoadValues {
  readonly rounds: string;
  readonly streams: string;
  readonly text: readonly string[];
  readonly requests: string;
  readonly 'warm-up': string;
  readonly lockstep: boolean;
}

/** Eight engines, prompts of 5,000 words, chunks 2 ms apart. @param chunks per answer */
export function publishedLoad(values: LoadValues, chunks: number): Omit<GatewayBenchOptions, 'contenders' | 'say'> {
  return {
    texts: values.text as readonly TextKind[],
    engines: 8,
    streams: values.streams.split(',').map(Number),
    requestsAt: (streams) => 2 * Math.round(Number(values.requests) * (150 + 2 * streams)),
    warmUpRequests: Number(values['warm-up']),
    promptWords: 5000,
    chunks,
    chunkMs: 2,
    lockstep: values.lockstep,
    seed: 1,
    rounds: Number(values.rounds),
    pin: true,
  };
}

// Settings of simulated engines: an error names the flag and the allowed values.

import { describe, expect, it } from 'vitest';
import { checkOptions, formatOf } from '../../src/worker/options.ts';

describe('checkOptions', () => {
  it('fills in the defaults', () => {
    expect(checkOptions({ count: 3 })).toMatchObject({
      count: 3,
      blockSize: 16,
      blocks: 11_626,
      profile: 'l40s-llama8b',
    });
  });

  it('sends events like the engine of its cache, unless set otherwise', () => {
    expect(formatOf(checkOptions({}))).toBe('map');
    expect(formatOf(checkOptions({ cache: 'radix' }))).toBe('sglang-array');
    expect(formatOf(checkOptions({ cache: 'radix', kvEventsFormat: 'sglang-map' }))).toBe('sglang-map');
  });

  it.each([
    [{ count: 0 }, '--count must be an integer in 1 .. 1024'],
    [{ count: Number.NaN }, '--count must be an integer in 1 .. 1024'],
    [{ maxNumBatchedTokens: 1.5 }, '--max-num-batched-tokens must be an integer in 1 .. 1000000'],
    [{ blocks: 1 }, '--blocks must be an integer in 2 .. 16777216'],
    [{ speedup: 0 }, '--speedup must be a number in 0.001 .. 100000'],
    [{ profile: 'h100' as 'constant' }, '--profile must be one of l40s-llama8b, l40s-llama8b-analytic, '],
    [{ schedulingPolicy: 'lifo' as 'fcfs' }, '--scheduling-policy must be fcfs or priority'],
    [{ model: '' }, '--model must not be empty'],
    [{ cache: 'tree' as 'radix' }, '--cache must be one of blocks, radix'],
    [{ cache: 'radix' as const, kvEventsHashes: 'bytes' as const }, '--kv-events-hashes must be int'],
    [{ kvEventsFormat: 'sglang-map' as const, kvEventsHashes: 'bytes' as const }, '--kv-events-hashes must be int'],
    [{ port: 65_535, count: 2 }, '--port leaves no room for 2 ports up to 65535'],
    [{ kvEventsPort: 65_535, count: 2 }, '--kv-events-port leaves no room for 2 ports up to 65535'],
  ])('%j', (options, message) => {
    expect(() => checkOptions(options)).toThrow(message);
  });
});

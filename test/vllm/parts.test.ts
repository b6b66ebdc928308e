import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { encodeKvBatch, type KvEventsFormat } from '../../src/wire/kv-events.ts';
import { NaiveCache } from './naive-cache.ts';
import { Predictions } from './predictions.ts';
import { environmentsFolder } from './python-environment.ts';
import { tabulate } from './verdict-table.ts';
import { chooseReleases } from './versions.ts';
import { readBatch } from './wire-events.ts';
import { Workload } from './workload.ts';

interface Capture {
  readonly what: string;
  readonly payloadHex: string;
}

const captures = JSON.parse(
  readFileSync(new URL('../golden/kv-event-captures.json', import.meta.url), 'utf8'),
) as Record<string, readonly Capture[]>;

function folded(name: string, whats: (what: string) => boolean = () => true): NaiveCache {
  const cache = new NaiveCache(32);
  for (const { payloadHex } of captures[name]!.filter(({ what }) => whats(what))) {
    for (const event of readBatch(Buffer.from(payloadHex, 'hex'))) cache.apply(event);
  }
  return cache;
}

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

describe('the naive cache', () => {
  it('follows the trace of 0.32.0: one of two copies of a block is removed, and it is still held', () => {
    const cache = folded('trace-v0.32-bs32');
    expect(cache.overlapBlocks(range(1, 80))).toBe(2);
    expect(cache).toMatchObject({ storedBlocks: 8, removedBlocks: 4 });
    expect(cache.chains().map((tokens) => tokens.length / 32)).toEqual([2, 1, 1]);
  });

  it('follows the arrays of 0.23.0, and a clear', () => {
    const stores = ['two blocks, root', 'decode block'];
    expect(folded('events-v0.23-array', (what) => stores.includes(what)).heldBlocks).toBe(3);
    expect(folded('events-v0.23-array', (what) => [...stores, 'cleared'].includes(what)).heldBlocks).toBe(0);
  });

  it('refuses contradictory events', () => {
    const cache = new NaiveCache(2);
    const stored = { kind: 'stored', hashes: ['1'], parent: null, tokens: [5, 6], blockSize: 2 } as const;
    cache.apply(stored);
    expect(() => cache.apply({ ...stored, parent: '2' })).toThrow('parent');
    expect(() => cache.apply({ ...stored, blockSize: 4 })).toThrow('4 tokens');
    expect(() => cache.apply({ ...stored, tokens: [5] })).toThrow('fit');
    expect(() => cache.apply({ kind: 'removed', hashes: ['3'] })).toThrow('not there');
    expect(cache.overlapBlocks([5, 6, 7])).toBe(1);
    expect(cache.overlapBlocks([5, 7, 6])).toBe(0);
  });
});

it.each<KvEventsFormat>(['map', 'array7', 'array11'])(
  'the independent reader keeps all 64 bits of a hash: %s',
  (format) => {
    const hashes = Uint32Array.of(0x9abcdef1, 0xfedcba98);
    const payload = encodeKvBatch(1, 0, [{ kind: 'removed', hashes }, { kind: 'cleared' }], format);
    expect(readBatch(payload)).toEqual([
      { kind: 'removed', hashes: [String(0xfedcba989abcdef1n)] },
      { kind: 'cleared' },
    ]);
  },
);

it('predictions: an unknown count does not match', () => {
  const predictions = new Predictions();
  for (const [predicted, actual] of [
    [32, 32],
    [64, 0],
    [0, 32],
  ] as const) {
    predictions.add('id', predicted, actual);
  }
  expect(predictions).toMatchObject({ count: 3, exact: 1, meanError: 32 });
  expect([predictions.errorQuantile(0.5), predictions.errorQuantile(0.99)]).toEqual([32, 64]);
  predictions.add('silent', 32, null);
  expect(predictions).toMatchObject({ count: 4, exact: 1, meanError: Number.NaN });
});

it('the table shows which checks passed and which did not', () => {
  const lines = tabulate([
    { check: 'loads', seen: 'zero', required: 'zero', holds: true },
    { check: 'trust', seen: 'A degraded', required: 'exact', holds: false },
  ]);
  expect(lines).toEqual([
    'check  seen        required',
    '-----  ----------  --------  -----',
    'loads  zero        zero      ok',
    'trust  A degraded  exact     WRONG',
  ]);
});

it('accepts known versions only', () => {
  expect(chooseReleases([]).map(({ version }) => version)).toEqual(['0.32.0', '0.23.0']);
  expect(chooseReleases(['0.23.0'])).toMatchObject([{ version: '0.23.0', discovers: false, omitsZero: true }]);
  expect(() => chooseReleases(['0.1'])).toThrow('unknown version 0.1; known are 0.32.0, 0.23.0');
});

it("keeps environments in the user's cache folder, or in the given one", () => {
  expect(environmentsFolder({ KVOYANT_VLLM_VENV_DIR: '/venvs', XDG_CACHE_HOME: '/caches' })).toBe('/venvs');
  expect(environmentsFolder({ XDG_CACHE_HOME: '/caches' })).toBe('/caches/kvoyant/vllm');
});

it('the workload is the same for the same seed, and has every kind of request', () => {
  const bodies = (seed: number): unknown[] => {
    const workload = new Workload(seed, 'tiny', 32);
    return Array.from({ length: 40 }, () => {
      const { question, ended } = workload.next();
      ended('an answer');
      return question;
    });
  };
  expect(bodies(1)).toEqual(bodies(1));
  expect(bodies(1)).not.toEqual(bodies(2));
  const text = JSON.stringify(bodies(1));
  for (const part of ['"assistant","content":"an answer"', '"prompt":"', '"prompt":[', '"stream":false']) {
    expect(text).toContain(part);
  }
});

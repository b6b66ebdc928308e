// SGLang's cache: compared with a naive tree in random runs, and its rules one by one.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KvEvent } from '../../src/core/types.ts';
import { EngineRequest } from '../../src/sim/engine-request.ts';
import { mixBlockHash } from '../../src/sim/index.ts';
import { RadixCache } from '../../src/sim/radix-cache.ts';
import { NaiveRadix, type Path } from '../model/naive-radix.ts';

const pageSize = 2;

function requestOf(id: number, prompt: readonly number[], salt: string | null = null): EngineRequest {
  const spec = { prompt: Uint32Array.from(prompt), outputTokensMax: 100, salt };
  return new EngineRequest(id, spec, 1000, mixBlockHash(null, salt));
}

/** The first pages of a request, each identified by its tokens, adapter and salt. */
function pathOf(request: EngineRequest, pages: number): Path {
  return Array.from({ length: pages }, (_, page) => {
    const tokens = request.tokens.subarray(page * pageSize, (page + 1) * pageSize).join('.');
    return `${request.salt ?? ''}${tokens}`;
  });
}

/** Writes events in the naive tree's form. */
class EventReader {
  readonly paths = new Map<string, string>();

  read(events: readonly KvEvent[]): string[] {
    return events.flatMap((event) => this.#lines(event));
  }

  #lines(event: KvEvent): string[] {
    switch (event.kind) {
      case 'stored': {
        expect(event.hashes).toHaveLength(2);
        const page = event.tokens.join('.');
        const before = event.parent === null ? null : this.paths.get(event.parent.join());
        expect(before).not.toBe(undefined);
        const path = before === null ? `${event.salt ?? ''}${page}` : `${before},${salted(before!)}${page}`;
        this.paths.set(event.hashes.join(), path);
        return [`+${path}`];
      }
      case 'removed':
        return hashesOf(event.hashes).map((hash) => `-${this.paths.get(hash)}`);
      case 'cleared':
        return [];
    }
  }
}

const salted = (path: string): string => /^[a-z]*/.exec(path)![0];

function hashesOf(words: Uint32Array): string[] {
  return Array.from({ length: words.length / 2 }, (_, i) => words.subarray(2 * i, 2 * i + 2).join());
}

type Action =
  | {
      readonly kind: 'admit';
      readonly prompt: readonly number[];
      readonly salt: string | null;
      readonly whole: boolean;
    }
  | { readonly kind: 'compute'; readonly pick: number; readonly tokens: number }
  | { readonly kind: 'finish' | 'release'; readonly pick: number }
  | { readonly kind: 'clear' };

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('admit' as const),
      prompt: fc.array(fc.nat(1), { minLength: 1, maxLength: 16 }),
      salt: fc.constantFrom(null, null, 's'),
      whole: fc.boolean(),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('compute' as const),
      pick: fc.nat(),
      tokens: fc.integer({ min: 1, max: 7 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('finish' as const, 'release' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const) }) },
);

describe('RadixCache', () => {
  it('equals the naive tree', () => {
    fc.assert(
      fc.property(fc.integer({ min: 4, max: 14 }), fc.array(action, { maxLength: 60 }), (capacity, actions) => {
        const cache = new RadixCache({ blockSize: pageSize, blocks: capacity + 1 });
        const naive = new NaiveRadix(capacity);
        const reader = new EventReader();
        const running: EngineRequest[] = [];
        let nextId = 0;
        const compute = (request: EngineRequest, tokens: number): void => {
          const pages = Math.ceil((request.computedTokens + tokens) / pageSize);
          const held = cache.hold(request, tokens);
          expect(held).toBe(naive.hold(request.id, pages));
          if (!held) return;
          request.scheduledTokens = tokens;
          request.computedTokens += tokens;
          cache.scheduled(request);
          const isPrefill = request.computedTokens - tokens < request.promptTokens;
          if (request.computedTokens === request.tokenCount) request.appendToken(request.tokenCount % 2);
          cache.computed(request);
          if (isPrefill) naive.insert(request.id, pathOf(request, Math.floor(request.computedTokens / pageSize)));
        };
        const apply = (one: Action): void => {
          switch (one.kind) {
            case 'admit': {
              const request = requestOf(nextId++, one.prompt, one.salt);
              const hitTokens = cache.match(request);
              const hits = naive.match(pathOf(request, Math.floor((request.tokenCount - 1) / pageSize)));
              expect(hitTokens).toBe(hits * pageSize);
              const wanted = one.whole ? request.tokenCount : hitTokens + 1;
              const admitted = cache.admit(request, hitTokens, wanted);
              const pages = Math.ceil(wanted / pageSize);
              expect(admitted).toBe(naive.admit(request.id, pathOf(request, hits), hits, pages));
              if (!admitted) return;
              request.computedTokens = hitTokens;
              running.push(request);
              compute(request, wanted - hitTokens);
              return;
            }
            case 'compute': {
              const request = running[one.pick % Math.max(1, running.length)];
              if (request === undefined) return;
              compute(request, Math.min(one.tokens, request.tokenCount - request.computedTokens));
              return;
            }
            case 'finish':
            case 'release': {
              const [request] = running.splice(one.pick % Math.max(1, running.length), 1);
              if (request === undefined) return;
              if (one.kind === 'finish') {
                naive.insert(request.id, pathOf(request, Math.floor(request.computedTokens / pageSize)));
              }
              cache[one.kind](request);
              naive.leave(request.id);
              return;
            }
            case 'clear':
              expect(cache.clear()).toBe(naive.clear());
          }
        };
        for (const one of actions) {
          apply(one);
          expect(reader.read(cache.takeEvents())).toEqual(naive.events);
          naive.events = [];
          const contents = cache.contents().map((hash) => reader.paths.get(hash.join()));
          expect(new Set(contents)).toEqual(naive.contents());
          expect(contents).toHaveLength(naive.contents().size);
          expect(cache.usage).toBeCloseTo(naive.usage());
          cache.assertConsistent(running);
        }
      }),
      { numRuns: 300 },
    );
  });

  /** Computes a prompt at once and ends it. */
  function run(cache: RadixCache, id: number, prompt: readonly number[]): void {
    const request = requestOf(id, prompt);
    const hitTokens = cache.match(request);
    expect(cache.admit(request, hitTokens, request.tokenCount)).toBe(true);
    request.computedTokens = hitTokens;
    expect(cache.hold(request, request.tokenCount - hitTokens)).toBe(true);
    request.computedTokens = request.tokenCount;
    cache.finish(request);
  }

  it('stores page by page, and removes a leaf as a whole, before its parent', () => {
    const cache = new RadixCache({ blockSize: pageSize, blocks: 8 });
    run(cache, 0, [1, 1, 2, 2, 3, 3]);
    run(cache, 1, [1, 1, 4, 4, 5, 5]);
    expect(cache.takeEvents().map(({ kind }) => kind)).toEqual(Array.from({ length: 5 }, () => 'stored'));
    run(cache, 2, [9, 9, 8, 8, 7, 7]);
    const events = cache.takeEvents();
    expect(events.map(({ kind }) => kind)).toEqual(['removed', 'stored', 'stored', 'stored']);
    expect(events[0]).toMatchObject({ hashes: { length: 4 } });
    run(cache, 3, [6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6]);
    const sizes = cache.takeEvents().flatMap((event) => (event.kind === 'removed' ? [event.hashes.length / 2] : []));
    expect(sizes).toEqual([2, 1, 3]);
  });

  it('keeps one copy of the pages that two sequences compute at the same time', () => {
    const cache = new RadixCache({ blockSize: pageSize, blocks: 20 });
    const two = [requestOf(0, [1, 2, 3, 4, 5]), requestOf(1, [1, 2, 3, 4, 6])];
    for (const request of two) {
      expect(cache.admit(request, cache.match(request), 5)).toBe(true);
      expect(cache.hold(request, 5)).toBe(true);
      request.scheduledTokens = request.computedTokens = 5;
    }
    for (const request of two) cache.computed(request);
    expect(cache.takeEvents()).toHaveLength(2);
    expect(cache.contents()).toHaveLength(2);
    cache.assertConsistent(two);
    for (const request of two) cache.finish(request);
    expect(cache.usage).toBe(0);
    cache.assertConsistent([]);
  });
});

// An engine with prompts given as hashes runs the same steps as with tokens.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KvEvent } from '../../src/core/types.ts';
import { Engine, type EngineStep, engineDefaults, mixBlockHash, type SequenceHasher } from '../../src/sim/index.ts';

const options = { ...engineDefaults, blockSize: 4, blocks: 16, stepTokensMax: 10, sequencesMax: 3 };

/** Hashes the tokens that the engine does not get: the prompt, then those that it would sample. */
function hasherOf(tokens: readonly number[]): SequenceHasher {
  const hasher = mixBlockHash(null, null);
  const all = Uint32Array.from(tokens);
  return { next: (_tokens, from, to, out, at) => hasher.next(all, from, to, out, at) };
}

/** The hashes of the full blocks of a prompt; `hasher` continues after them. */
function hashesOf(isl: number, hasher: SequenceHasher): Uint32Array {
  const hashes = new Uint32Array(2 * Math.floor(isl / options.blockSize));
  for (let at = 0; at < hashes.length; at += 2) {
    const from = (at / 2) * options.blockSize;
    hasher.next(new Uint32Array(0), from, from + options.blockSize, hashes, at);
  }
  return hashes;
}

function facts(step: EngineStep | null): unknown {
  if (step === null) return null;
  const events = step.events.map((event: KvEvent) =>
    event.kind === 'cleared' ? event : { kind: event.kind, hashes: [...event.hashes] },
  );
  const ids = (list: EngineStep['sampled']): number[] => list.map(({ id }) => id);
  const { stepNs, load, sampled, finished, preempted } = step;
  return {
    stepNs,
    load: { ...load },
    sampled: ids(sampled),
    finished: ids(finished),
    preempted: ids(preempted),
    events,
  };
}

describe('an engine with hashed prompts', () => {
  const request = fc.record({
    group: fc.nat({ max: 1 }),
    isl: fc.integer({ min: 1, max: 24 }),
    osl: fc.integer({ min: 1, max: 9 }),
  });

  it('runs the same steps and announces the same hashes', () => {
    fc.assert(
      fc.property(fc.array(request, { minLength: 1, maxLength: 8 }), (requests) => {
        const withTokens = new Engine({ ...options, sampleToken: (one) => 9000 + one.id * 100 + one.outputTokens });
        const withHashes = new Engine({ ...options, sampleToken: () => 0 });
        for (const [id, { group, isl, osl }] of requests.entries()) {
          const prompt = Array.from({ length: isl }, (_, at) => (at < 12 ? 100 * group + at : 1000 * (id + 1) + at));
          const output = Array.from({ length: osl }, (_, at) => 9000 + id * 100 + at);
          const hasher = hasherOf([...prompt, ...output]);
          withTokens.submit({ prompt: Uint32Array.from(prompt), outputTokensMax: osl });
          const known = id % 2 === 0 ? {} : { hashes: hashesOf(isl, hasher) };
          withHashes.submit({ prompt: { tokenCount: isl, hasher, ...known }, outputTokensMax: osl });
        }
        for (let steps = 0; ; steps++) {
          const expected = facts(withTokens.step());
          expect(facts(withHashes.step())).toEqual(expected);
          if (expected === null) break;
          expect(steps).toBeLessThan(1000);
        }
        expect(withHashes.counters).toEqual(withTokens.counters);
      }),
    );
  });

  it('reports its hashes as ours, and no tokens', () => {
    const engine = new Engine(options);
    engine.submit({ prompt: { tokenCount: 9, hasher: hasherOf([1, 2, 3, 4, 5, 6, 7, 8, 9]) }, outputTokensMax: 1 });
    const [stored] = engine.step()!.events;
    expect(stored).toMatchObject({ kind: 'stored', parent: null });
    if (stored?.kind !== 'stored') throw new Error('not stored');
    expect(stored.sequence).toBe(stored.hashes);
    expect([stored.hashes.length, stored.tokens.length]).toEqual([4, 0]);
  });

  it('refuses prompts by their length', () => {
    const engine = new Engine({ ...options, contextTokensMax: 10 });
    const submit = (tokenCount: number) =>
      engine.submit({ prompt: { tokenCount, hasher: hasherOf([]) }, outputTokensMax: 1 });
    expect(submit(0)).toEqual({ kind: 'refused', reason: 'empty-prompt' });
    expect(submit(10)).toEqual({ kind: 'refused', reason: 'prompt-too-long' });
  });
});

describe('joined removals', () => {
  it('contain the same blocks in the same order, in fewer events', () => {
    const removals = (joinRemovals: boolean): { hashes: number[]; events: number } => {
      const engine = new Engine({ ...options, joinRemovals });
      const hashes: number[] = [];
      let events = 0;
      for (let id = 0; id < 6; id++) {
        const prompt = Uint32Array.from({ length: 32 }, (_, at) => id * 1000 + at);
        engine.submit({ prompt, outputTokensMax: 1 });
        for (let step = engine.step(); step !== null; step = engine.step()) {
          for (const event of step.events) {
            if (event.kind !== 'removed') continue;
            hashes.push(...event.hashes);
            events++;
          }
        }
      }
      return { hashes, events };
    };
    const [single, joined] = [removals(false), removals(true)];
    expect(joined.hashes).toEqual(single.hashes);
    expect(single.events).toBe(single.hashes.length / 2);
    expect(joined.events).toBeLessThan(single.events);
  });
});

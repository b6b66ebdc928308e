// The simulated engine: conservation laws in random runs, and the rules of its scheduler one by one.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cacheKinds,
  constantStepTime,
  Engine,
  type EngineOptions,
  type EngineRequest,
  type EngineRequestSpec,
  engineDefaults,
} from '../../src/sim/index.ts';
import { countContents, KvEventMirror } from '../model/kv-event-mirror.ts';

function engineOf(options: Partial<EngineOptions>): Engine {
  return new Engine({ ...engineDefaults, blockSize: 4, blocks: 12, stepTokensMax: 8, sequencesMax: 4, ...options });
}

function submitted(engine: Engine, spec: EngineRequestSpec): EngineRequest {
  const submission = engine.submit(spec);
  if (submission.kind !== 'accepted') throw new Error(submission.reason);
  return submission.request;
}

/** A prompt whose first `shared` tokens depend on its group; the others are unique. */
function promptOf(group: number, shared: number, length: number, salt: number): Uint32Array {
  return Uint32Array.from({ length }, (_, index) =>
    index < shared ? group * 1000 + index : 1e6 + salt * 1000 + index,
  );
}

function drain(engine: Engine): void {
  while (engine.step() !== null);
}

type Action =
  | { kind: 'submit'; spec: EngineRequestSpec }
  | { kind: 'abort'; pick: number }
  | { kind: 'step' }
  | { kind: 'reset'; preemptRunning: boolean };

const spec: fc.Arbitrary<EngineRequestSpec> = fc
  .record({
    group: fc.nat({ max: 2 }),
    shared: fc.nat({ max: 24 }),
    length: fc.integer({ min: 1, max: 30 }),
    own: fc.nat({ max: 9 }),
    outputTokensMax: fc.integer({ min: 1, max: 14 }),
    stopAfterTokens: fc.option(fc.integer({ min: 1, max: 14 }), { nil: undefined }),
    priority: fc.nat({ max: 2 }),
    salt: fc.constantFrom(null, null, 'a', 'b'),
  })
  .map(({ group, shared, length, own, stopAfterTokens, ...rest }) => ({
    prompt: promptOf(group, shared, length, own),
    ...(stopAfterTokens === undefined ? {} : { stopAfterTokens }),
    ...rest,
  }));

function actions(withDisturbances: boolean): fc.Arbitrary<Action[]> {
  const submit = spec.map((value): Action => ({ kind: 'submit', spec: value }));
  const step = fc.constant<Action>({ kind: 'step' });
  const abort = fc.nat().map((pick): Action => ({ kind: 'abort', pick }));
  const reset = fc.boolean().map((preemptRunning): Action => ({ kind: 'reset', preemptRunning }));
  const plain = [
    { arbitrary: submit, weight: 3 },
    { arbitrary: step, weight: 6 },
  ];
  const disturbances = [
    { arbitrary: abort, weight: 1 },
    { arbitrary: reset, weight: 1 },
  ];
  return fc.array(fc.oneof(...plain, ...(withDisturbances ? disturbances : [])), { maxLength: 120 });
}

const optionsArbitrary = fc.record({
  cache: fc.constantFrom(...cacheKinds),
  order: fc.constantFrom('fcfs' as const, 'priority' as const),
  reserveWholePrompt: fc.boolean(),
  freeUnhashedFirst: fc.boolean(),
  blocks: fc.integer({ min: 12, max: 40 }),
  stepTokensMax: fc.integer({ min: 4, max: 16 }),
});

/** Performs the actions, then runs the engine until it is idle; checks the invariants after every step. */
function play(engine: Engine, options: { stepTokensMax: number }, list: readonly Action[]): EngineRequest[] {
  const mirror = new KvEventMirror(4);
  const requests: EngineRequest[] = [];
  const outputs = new Map<EngineRequest, number>();
  const step = (): boolean => {
    const result = engine.step();
    if (result === null) return false;
    mirror.apply(result.events);
    expect(mirror.copies).toEqual(countContents(engine.cachedContents()));
    expect(result.load.tokens).toBeLessThanOrEqual(options.stepTokensMax);
    expect(engine.runningCount).toBeLessThanOrEqual(4);
    for (const request of result.sampled) outputs.set(request, (outputs.get(request) ?? 0) + 1);
    return true;
  };
  for (const action of list) {
    switch (action.kind) {
      case 'submit':
        requests.push(submitted(engine, action.spec));
        break;
      case 'abort': {
        const request = requests[action.pick % Math.max(1, requests.length)];
        if (request !== undefined) {
          const ended = request.status === 'finished' || request.status === 'aborted';
          expect(engine.abort(request)).toBe(!ended);
        }
        break;
      }
      case 'reset': {
        const inUse = engine.runningCount > 0;
        expect(engine.resetPrefixCache(action.preemptRunning)).toBe(action.preemptRunning || !inUse);
        break;
      }
      case 'step':
        step();
        break;
    }
    engine.assertConsistent();
  }
  for (let steps = 0; step(); steps++) {
    engine.assertConsistent();
    expect(steps).toBeLessThan(10_000);
  }
  for (const request of requests) expect(outputs.get(request) ?? 0).toBe(request.outputTokens);
  return requests;
}

describe('Engine in random runs', () => {
  it('keeps consistent totals with aborts, resets and preemptions', () => {
    fc.assert(
      fc.property(optionsArbitrary, actions(true), (options, list) => {
        const engine = engineOf(options);
        const requests = play(engine, options, list);
        for (const { status } of requests) expect(['finished', 'aborted']).toContain(status);
        const { finished, aborted } = engine.counters;
        expect(finished.stop + finished.length + aborted).toBe(requests.length);
        if (options.cache === 'blocks') expect(engine.freeQueue()).toHaveLength(options.blocks - 1);
        expect(engine.kvUsage).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it('computes every prompt token once or takes it from the cache', () => {
    fc.assert(
      fc.property(optionsArbitrary, actions(false), (options, list) => {
        const engine = engineOf({ ...options, blocks: 2000 });
        const requests = play(engine, options, list);
        const total = requests.reduce((sum, request) => sum + request.promptTokens, 0);
        const cached = requests.reduce((sum, request) => sum + request.cachedTokens, 0);
        const { counters } = engine;
        expect(counters.preemptions).toBe(0);
        expect(counters.prefillTokens + cached).toBe(total);
        expect(counters.promptTokens).toBe(total);
        expect(counters.cachedPromptTokens).toBe(cached);
        expect(counters.outputTokens).toBe(requests.reduce((sum, request) => sum + request.outputTokens, 0));
        for (const request of requests) {
          expect(request.cachedTokens % 4).toBe(0);
          expect(request.cachedTokens).toBeLessThan(request.promptTokens);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('repeats the same run from the same seeds', () => {
    fc.assert(
      fc.property(optionsArbitrary, actions(true), (options, list) => {
        const lives = [engineOf(options), engineOf(options)].map((engine) => {
          const requests = play(engine, options, list);
          return { tokens: requests.map((request) => request.tokens.slice(0, request.tokenCount)), ...engine.counters };
        });
        expect(lives[0]).toEqual(lives[1]);
      }),
      { numRuns: 50 },
    );
  });
});

describe('Engine: scheduling', () => {
  it('gives running requests their token before it admits others', () => {
    const engine = engineOf({});
    const first = submitted(engine, { prompt: promptOf(1, 0, 4, 1), outputTokensMax: 3 });
    engine.step();
    const second = submitted(engine, { prompt: promptOf(2, 0, 12, 2), outputTokensMax: 1 });
    const step = engine.step()!;
    expect(step.sampled).toEqual([first]);
    expect(step.load).toMatchObject({ tokens: 8, prefillTokens: 7, decodeContextTokens: 5, sequences: 2, sampled: 1 });
    expect(second.computedTokens).toBe(7);
  });

  it('lets a later request of the same step hit what an earlier one stores', () => {
    const engine = engineOf({ stepTokensMax: 16, blocks: 20 });
    const first = submitted(engine, { prompt: promptOf(1, 8, 9, 1), outputTokensMax: 1 });
    const second = submitted(engine, { prompt: promptOf(1, 8, 9, 2), outputTokensMax: 1 });
    const step = engine.step()!;
    expect(step.sampled).toEqual([first, second]);
    expect(second.cachedTokens).toBe(8);
    expect(step.load.prefillTokens).toBe(10);
  });

  it('holds the head of the queue until its whole prompt fits', () => {
    const long = { prompt: promptOf(2, 0, 28, 2), outputTokensMax: 1 };
    const admittedAtOnce = (reserveWholePrompt: boolean): boolean => {
      const engine = engineOf({ reserveWholePrompt, blocks: 10, stepTokensMax: 16 });
      submitted(engine, { prompt: promptOf(1, 0, 12, 1), outputTokensMax: 2 });
      const request = submitted(engine, long);
      engine.step();
      return request.status === 'running';
    };
    expect(admittedAtOnce(true)).toBe(false);
    expect(admittedAtOnce(false)).toBe(true);
  });

  it('counts a lookup for every step in which the head of the queue is blocked', () => {
    const engine = engineOf({ blocks: 10, stepTokensMax: 16 });
    submitted(engine, { prompt: promptOf(1, 0, 12, 1), outputTokensMax: 3 });
    submitted(engine, { prompt: promptOf(2, 0, 28, 2), outputTokensMax: 1 });
    engine.step();
    engine.step();
    expect(engine.counters.queriedTokens).toBe(12 + 28 + 28);
    expect(engine.counters.promptTokens).toBe(12);
  });

  it('preempts the last running request, which hits its own blocks when it returns', () => {
    const engine = engineOf({ blocks: 7, stepTokensMax: 16 });
    const first = submitted(engine, { prompt: promptOf(1, 0, 12, 1), outputTokensMax: 8 });
    const second = submitted(engine, { prompt: promptOf(2, 0, 11, 2), outputTokensMax: 8 });
    const preempted: EngineRequest[][] = [];
    for (let step = engine.step(); step !== null; step = engine.step()) preempted.push([...step.preempted]);
    expect(preempted.flat()).toEqual([second]);
    expect(second.preemptions).toBe(1);
    expect(second.cachedTokens).toBe(0);
    expect([first.finishReason, second.finishReason]).toEqual(['length', 'length']);
    expect(engine.counters.hitTokens).toBeGreaterThan(0);
  });

  it('serves lower priority values first', () => {
    const engine = engineOf({ order: 'priority', sequencesMax: 1 });
    const late = submitted(engine, { prompt: promptOf(1, 0, 4, 1), outputTokensMax: 1, priority: 5 });
    const early = submitted(engine, { prompt: promptOf(2, 0, 4, 2), outputTokensMax: 1, priority: 1 });
    expect(engine.step()!.finished).toEqual([early]);
    expect(engine.step()!.finished).toEqual([late]);
  });

  it('preempts the highest priority value, even out of the current step', () => {
    const engine = engineOf({ order: 'priority', blocks: 7, stepTokensMax: 16 });
    const late = submitted(engine, { prompt: promptOf(1, 0, 12, 1), outputTokensMax: 8, priority: 5 });
    engine.step();
    const early = submitted(engine, { prompt: promptOf(2, 0, 8, 2), outputTokensMax: 8, priority: 1 });
    engine.step();
    const step = engine.step()!;
    expect(step.preempted).toEqual([late]);
    expect(step.sampled).toEqual([early]);
    expect(step.load).toMatchObject({ tokens: 1, sequences: 1 });
    drain(engine);
    expect([late.outputTokens, early.outputTokens]).toEqual([8, 8]);
  });

  it('ends at its own limit, at the end of its answer, or at the context length', () => {
    const engine = engineOf({ contextTokensMax: 10, stepTokensMax: 64 });
    const prompt = promptOf(1, 0, 6, 1);
    const own = submitted(engine, { prompt, outputTokensMax: 2, stopAfterTokens: 2 });
    const stop = submitted(engine, { prompt, outputTokensMax: 3, stopAfterTokens: 1 });
    const context = submitted(engine, { prompt, outputTokensMax: 100 });
    drain(engine);
    expect([own, stop, context].map(({ finishReason, outputTokens }) => [finishReason, outputTokens])).toEqual([
      ['length', 2],
      ['stop', 1],
      ['length', 4],
    ]);
    expect(engine.counters.finished).toEqual({ length: 2, stop: 1 });
  });

  it('refuses requests that it could never serve', () => {
    const engine = engineOf({ contextTokensMax: 10, unfinishedMax: 2 });
    const submit = (length: number) => engine.submit({ prompt: promptOf(1, 0, length, 1), outputTokensMax: 1 });
    expect(submit(0)).toEqual({ kind: 'refused', reason: 'empty-prompt' });
    expect(submit(10)).toEqual({ kind: 'refused', reason: 'prompt-too-long' });
    expect(submit(9).kind).toBe('accepted');
    expect(submit(9).kind).toBe('accepted');
    expect(submit(9)).toEqual({ kind: 'refused', reason: 'overloaded' });
    expect(() => engineOf({ stepTokensMax: 0 })).toThrow('stepTokensMax');
  });

  it('lowers the context length to the size of the pool', () => {
    const engine = engineOf({ blocks: 4, contextTokensMax: 1000 });
    expect(engine.contextTokensMax).toBe(12);
    const request = submitted(engine, { prompt: promptOf(1, 0, 11, 1), outputTokensMax: 9 });
    drain(engine);
    expect(request.outputTokens).toBe(1);
  });

  it('takes the time of its profile, in whole nanoseconds', () => {
    const engine = engineOf({ stepTime: constantStepTime(1.25) });
    submitted(engine, { prompt: promptOf(1, 0, 9, 1), outputTokensMax: 1 });
    expect(engine.step()!.stepNs).toBe(1_250_000);
    drain(engine);
    expect(engine.counters).toMatchObject({ steps: 2, busyNs: 2_500_000 });
    expect(engine.step()).toBeNull();
  });
});

describe('Engine: reset of the prefix cache', () => {
  it('is announced with the next step', () => {
    const engine = engineOf({});
    const prompt = promptOf(1, 0, 8, 1);
    submitted(engine, { prompt, outputTokensMax: 1 });
    drain(engine);
    expect(engine.resetPrefixCache()).toBe(true);
    expect(engine.cachedContents()).toEqual([]);
    expect(engine.step()).toBeNull();
    const again = submitted(engine, { prompt, outputTokensMax: 1 });
    expect(engine.step()!.events.map(({ kind }) => kind)).toEqual(['cleared', 'stored']);
    expect(again.cachedTokens).toBe(0);
  });

  it('is refused while blocks are in use, unless the running requests are preempted first', () => {
    const engine = engineOf({});
    const request = submitted(engine, { prompt: promptOf(1, 0, 6, 1), outputTokensMax: 4 });
    engine.step();
    expect(engine.resetPrefixCache()).toBe(false);
    expect(engine.resetPrefixCache(true)).toBe(true);
    expect(request.status).toBe('preempted');
    const step = engine.step()!;
    expect(step.events.map(({ kind }) => kind)).toEqual(['cleared', 'stored']);
    expect(step.load.prefillTokens).toBe(7);
  });
});

describe('Engine: content', () => {
  it('does not mix salted prompts with others', () => {
    const engine = engineOf({ blocks: 40, stepTokensMax: 64 });
    const prompt = promptOf(1, 0, 9, 1);
    const cached = [null, null, 'a', 'a', 'b'].map((salt) => {
      const request = submitted(engine, { prompt, outputTokensMax: 1, salt });
      drain(engine);
      return request.cachedTokens;
    });
    expect(cached).toEqual([0, 8, 0, 8, 0]);
  });

  it('reports the salt only where a chain starts', () => {
    const engine = engineOf({ blocks: 40, stepTokensMax: 8 });
    submitted(engine, { prompt: promptOf(1, 0, 16, 1), outputTokensMax: 1, salt: 'a' });
    const events = [engine.step()!, engine.step()!].flatMap((step) => step.events);
    expect(events).toMatchObject([{ parent: null, salt: 'a' }, { salt: null }]);
  });

  it('does not modify the memory of a shared prompt', () => {
    const engine = engineOf({ blocks: 40 });
    const prompt = promptOf(1, 0, 5, 1);
    const copy = prompt.slice();
    const first = submitted(engine, { prompt, outputTokensMax: 3, seed: 1 });
    const second = submitted(engine, { prompt, outputTokensMax: 3, seed: 2 });
    drain(engine);
    expect(prompt).toEqual(copy);
    expect(first.tokens.slice(5, 8)).not.toEqual(second.tokens.slice(5, 8));
  });
});

// The real-time loop with a clock that the test controls.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { constantStepTime, Engine, engineDefaults } from '../../src/sim/index.ts';
import { EngineLoop } from '../../src/worker/engine-loop.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'setImmediate', 'performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

function start(
  stepMs: number,
  speedup: number,
  outputTokens: number,
): { loop: EngineLoop; endsMs: number[]; submit(): void } {
  const engine = new Engine({ ...engineDefaults, stepTime: constantStepTime(stepMs) });
  const endsMs: number[] = [];
  const startMs = performance.now();
  const loop = new EngineLoop(engine, speedup, () => endsMs.push(performance.now() - startMs));
  const submit = (): void => {
    engine.submit({ prompt: Uint32Array.of(1, 2), outputTokensMax: outputTokens });
    loop.wake();
  };
  return { loop, endsMs, submit };
}

describe('EngineLoop', () => {
  it('never ends a step early, and lateness does not add up', async () => {
    const { endsMs, submit } = start(10.4, 1, 100);
    submit();
    await vi.runAllTimersAsync();
    expect(endsMs).toHaveLength(100);
    for (const [index, endMs] of endsMs.entries()) {
      const dueMs = 10.4 * (index + 1);
      expect(endMs).toBeGreaterThanOrEqual(dueMs - 1e-6);
      expect(endMs).toBeLessThan(dueMs + 1.01);
    }
  });

  it('divides the time of a step by the speedup', async () => {
    const { endsMs, submit } = start(100, 50, 20);
    submit();
    await vi.runAllTimersAsync();
    expect(endsMs.at(-1)).toBeCloseTo(40, 3);
  });

  it('catches up after the thread was busy', async () => {
    const { endsMs, submit } = start(10, 1, 10);
    submit();
    await vi.advanceTimersByTimeAsync(15);
    // 50 ms pass in which no timer can fire.
    const now = performance.now.bind(performance);
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + 50);
    await vi.runAllTimersAsync();
    clock.mockRestore();
    expect(endsMs[1]).toBeGreaterThan(60);
    // Steps 3 to 6 were due in that time.
    expect(endsMs[5]! - endsMs[1]!).toBeLessThan(10);
    expect(endsMs.at(-1)).toBeCloseTo(100, 0);
  });

  it('sleeps without work and starts again with the next request', async () => {
    const { endsMs, submit } = start(10, 1, 1);
    submit();
    await vi.runAllTimersAsync();
    expect(vi.getTimerCount()).toBe(0);
    await vi.advanceTimersByTimeAsync(1000);
    submit();
    await vi.runAllTimersAsync();
    expect(endsMs).toHaveLength(2);
    expect(endsMs[1]! - endsMs[0]!).toBeGreaterThanOrEqual(1010);
  });

  it('ends no step after it was stopped', async () => {
    const { loop, endsMs, submit } = start(10, 1, 10);
    submit();
    await vi.advanceTimersByTimeAsync(25);
    loop.stop();
    await vi.runAllTimersAsync();
    expect(endsMs).toHaveLength(2);
  });
});

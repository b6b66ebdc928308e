// The memory of sessions: their last worker, its lifetime, and its bound.

import { describe, expect, it } from 'vitest';
import type { Worker } from '../../../src/gateway/engines/engine.ts';
import { SessionAffinity } from '../../../src/gateway/pools/session-affinity.ts';

const workerAt = (index: number): Worker => ({ membership: { index } }) as unknown as Worker;
const [a, b] = [workerAt(0), workerAt(1)];

describe('SessionAffinity', () => {
  it('credits only the worker of the last placement', () => {
    const sessions = new SessionAffinity({ creditTokens: 7 });
    expect(sessions.affinity('one', 0)).toBeNull();
    sessions.placed('one', a, 0);
    sessions.placed('two', b, 0);
    sessions.placed('one', b, 1);
    sessions.placed(null, a, 1);
    expect(sessions.affinity('one', 2)).toEqual({ worker: 1, tokens: 7 });
    expect(sessions.affinity(null, 2)).toBeNull();
  });

  it('forgets after a pause, and forgets a worker that has left', () => {
    const sessions = new SessionAffinity({ creditTokens: 7, pauseMsMax: 100 });
    sessions.placed('one', a, 0);
    sessions.placed('two', b, 50);
    expect(sessions.affinity('one', 100)).not.toBeNull();
    expect(sessions.affinity('one', 101)).toBeNull();
    sessions.placed('three', a, 120);
    expect(sessions.size).toBe(2);
    sessions.workerGone(b);
    expect([sessions.affinity('two', 120), sessions.size]).toEqual([null, 1]);
  });

  it('is bounded: drops the least recently used session', () => {
    const sessions = new SessionAffinity({ creditTokens: 7, sessionsMax: 2 });
    for (const key of ['one', 'two', 'one', 'three']) sessions.placed(key, a, 0);
    expect(['one', 'two', 'three'].map((key) => sessions.affinity(key, 0) !== null)).toEqual([true, false, true]);
    sessions.placed('x'.repeat(100_000), a, 0);
    expect(sessions.size).toBe(2);
  });

  it('remembers nothing if the credit is 0', () => {
    const sessions = new SessionAffinity({ creditTokens: 0 });
    sessions.placed('one', a, 0);
    expect([sessions.affinity('one', 0), sessions.size]).toEqual([null, 0]);
  });
});

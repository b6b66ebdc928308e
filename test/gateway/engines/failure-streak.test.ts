import { describe, expect, it } from 'vitest';
import { FailureStreak } from '../../../src/gateway/engines/failure-streak.ts';

describe('failure streak', () => {
  it('puts an engine out at the fifth failure in a row, for twice as long each time', () => {
    const streak = new FailureStreak();
    const rests: number[] = [];
    const failures = Array.from({ length: 12 }, () => {
      const out = streak.failed(false);
      if (out) rests.push(streak.restMs);
      return out;
    });
    // Once out, the first failure puts it out again.
    expect(failures.map(Number).join('')).toBe('000011111111');
    expect(rests).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  });

  it('forgets failures after a whole answer', () => {
    const streak = new FailureStreak();
    for (let i = 0; i < 40; i++) {
      expect(streak.failed(false)).toBe(false);
      if (i % 4 === 3) streak.worked();
    }
  });

  it('puts an engine on trial out at once', () => {
    const streak = new FailureStreak();
    expect(streak.failed(true)).toBe(true);
    expect(streak.restMs).toBe(1000);
    streak.worked();
    expect(streak.restMs).toBe(0);
  });
});

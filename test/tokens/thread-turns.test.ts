// Scheduling in the thread: short work first, groups in order, and no job starves.

import { expect, it } from 'vitest';
import { type ThreadJob, ThreadTurns } from '../../src/tokens/thread-turns.ts';

/** A clock that advances by one with every step. */
function turnsAndClock(): {
  turns: ThreadTurns;
  done: string[];
  job: (name: string, group: number, steps: number) => ThreadJob;
} {
  let nowMs = 0;
  const done: string[] = [];
  const turns = new ThreadTurns(() => nowMs);
  const job = (name: string, group: number, steps: number): ThreadJob => {
    let left = steps;
    const step = (): boolean => {
      nowMs += 1;
      left -= 1;
      if (left > 0) return false;
      done.push(name);
      return true;
    };
    return { id: group, group, size: steps * 1000, step };
  };
  return { turns, done, job };
}

it('finishes short work within a slice or two, however much long work waits', () => {
  const { turns, done, job } = turnsAndClock();
  for (let group = 1; group <= 50; group++) turns.add(job('long', group, 1000));
  turns.runSlice();
  turns.add(job('short', 99, 1));
  turns.runSlice();
  turns.runSlice();
  expect(done).toEqual(['short']);
});

it('lets a prompt of another request pass a thousand prompts of one request', () => {
  const { turns, done, job } = turnsAndClock();
  for (let i = 0; i < 1000; i++) turns.add(job('batch', 1, 20));
  turns.runSlice();
  turns.add(job('single', 2, 20));
  for (let slices = 0; slices < 10; slices++) turns.runSlice();
  expect(done).toContain('single');
});

it('continues long work while short work keeps arriving', () => {
  const { turns, done, job } = turnsAndClock();
  turns.add(job('long', 1, 100));
  for (let group = 2; group < 1000 && !done.includes('long'); group++) {
    turns.add(job('short', group, 4));
    turns.add(job('short', group + 10_000, 4));
    turns.runSlice();
  }
  expect(done).toContain('long');
});

it('stops working on dropped jobs', () => {
  const { turns, done, job } = turnsAndClock();
  turns.add(job('dropped', 1, 100));
  turns.add(job('kept', 2, 200));
  turns.runSlice();
  turns.drop(1);
  while (!turns.isEmpty) turns.runSlice();
  expect(done).toEqual(['kept']);
});

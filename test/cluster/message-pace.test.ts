// Messages are told at once after a calm, close together in a burst, and far apart under lasting load.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { closeMessagesMax, gapMsMin, lastingGapMs, MessagePace } from '../../src/cluster/message-pace.ts';

/** Times of the messages of changes at these times, each told as soon as it may be. */
function toldAt(changesMs: readonly number[], urgent = false): number[] {
  const pace = new MessagePace();
  const told: number[] = [];
  for (const changeMs of changesMs) {
    // The message that is still to come has this change too.
    if (told.length > 0 && changeMs <= told.at(-1)!) continue;
    const atMs = changeMs + pace.waitMs(changeMs, urgent);
    pace.sent(atMs);
    told.push(atMs);
  }
  return told;
}

it('never sends more than the bucket holds and gains, nor two closer together than the least gap', () => {
  const changes = fc
    .array(fc.double({ min: 0, max: 60, noNaN: true }), { minLength: 1, maxLength: 300 })
    .map((gaps) => {
      let nowMs = 0;
      return gaps.map((gap) => {
        nowMs += gap < 30 ? gap / 10 : gap;
        return nowMs;
      });
    });
  fc.assert(
    fc.property(changes, (changesMs) => {
      const told = toldAt(changesMs);
      for (let i = 1; i < told.length; i++) expect(told[i]! - told[i - 1]!).toBeGreaterThanOrEqual(gapMsMin - 1e-6);
      for (let from = 0; from < told.length; from++) {
        for (let to = from; to < told.length; to++) {
          const gained = (told[to]! - told[from]!) / lastingGapMs;
          expect(to - from + 1).toBeLessThanOrEqual(closeMessagesMax + gained + 1e-6);
        }
      }
      for (const changeMs of changesMs) {
        const next = told.find((atMs) => atMs >= changeMs)!;
        expect(next - changeMs).toBeLessThanOrEqual(lastingGapMs + 1e-6);
      }
    }),
    { numRuns: 50 },
  );
});

it('tells urgent changes at once while there is room, which they take like others', () => {
  const changesMs = Array.from({ length: 200 }, (_, i) => i / 2 + 1);
  const told = toldAt(changesMs, true);
  expect(told.slice(0, closeMessagesMax)).toEqual(changesMs.slice(0, closeMessagesMax));
  expect(told.length).toBeLessThanOrEqual(closeMessagesMax + 1 + 100 / lastingGapMs);
});

it('tells the first change after a calm at once, and every 50 ms while changes never end', () => {
  const changesMs = Array.from({ length: 5000 }, (_, i) => i);
  const told = toldAt(changesMs);
  expect(told[0]).toBe(0);
  expect(told.filter((atMs) => atMs < 100)).toHaveLength(25);
  const inOneSecond = told.filter((atMs) => atMs >= 3975 && atMs < 4975);
  expect(inOneSecond).toHaveLength(1000 / lastingGapMs);
  expect(toldAt([...changesMs, 7000]).at(-1)).toBe(7000);
});

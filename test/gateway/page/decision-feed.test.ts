// The stream of decisions: what is shown and what is left out add up, and what was shown is told to its end.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DecisionFeed, newPerBatchMax } from '../../../src/gateway/page/decision-feed.ts';
import type { DecisionRecord } from '../../../src/gateway/telemetry/decision-log.ts';

const decision = { reason: 'cost', candidateCount: 2, isl: 100, overlapTokens: 0, predictedTtftMs: 0 };
const fields = { requestId: 'r', timeMs: 0, model: 'm', worker: 'w', attempt: 1, known: 'tokens', decision } as const;
const unknown = { usage: null, hindsight: null, outputTokens: null, durationMs: null, outcome: null } as const;

const recordOf = (seq: number): DecisionRecord => ({ ...fields, ...unknown, seq }) as unknown as DecisionRecord;

it('shows at most so many new decisions in a batch, counts the others, and tells how each shown one ends', () => {
  const batches = fc.array(fc.nat(60), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(batches, (sizes) => {
      const feed = new DecisionFeed();
      feed.turn(true);
      let seq = 0;
      const records: DecisionRecord[] = [];
      const shown = new Set<number>();
      for (const size of sizes) {
        for (let i = 0; i < size; i++) {
          const record = recordOf(++seq);
          records.push(record);
          feed.routed(record);
        }
        const batch = feed.take(250);
        const fresh = batch?.decisions ?? [];
        expect(fresh.length).toBeLessThanOrEqual(newPerBatchMax);
        expect(fresh.length + (batch?.leftOut ?? 0)).toBe(size);
        for (const row of fresh) shown.add(row.seq);
      }
      for (const record of records) {
        record.outcome = 'done';
        feed.ended(record);
      }
      expect(new Set(feed.take(250)?.decisions.map((row) => row.seq))).toEqual(shown);
      expect(feed.take(250)).toBeNull();
    }),
  );
});

it('tells how a decision ends that a page has fetched, and nothing while nobody looks on', () => {
  const feed = new DecisionFeed();
  const [before, after] = [recordOf(1), recordOf(2)];
  feed.listed(before);
  feed.turn(true);
  for (const record of [before, after]) record.outcome = null;
  feed.listed(after);
  for (const record of [before, after]) {
    record.outcome = 'done';
    feed.ended(record);
  }
  expect(feed.take(250)?.decisions.map(({ seq }) => seq)).toEqual([2]);
});

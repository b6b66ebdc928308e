// Admission compared with its naive twin, for any order of entries, ends, withdrawals and worker changes.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { quantumTokens } from '../../../src/core/admission/fair-queue.ts';
import { reserveNumbers } from '../../../src/core/admission/tenant-reserve.ts';
import type { Waiting } from '../../../src/core/index.ts';
import { type PoolRoom, WorkerTable } from '../../../src/core/ledger/worker-table.ts';
import { NaiveAdmission, type NaivePlaced } from '../../model/naive-admission.ts';
import { NaiveReserve } from '../../model/naive-reserve.ts';
import { applicant, harnessOf, type Named, ownPrompt } from './admission-harness.ts';

const workerCount = 3;
const everyWorker = [0, 1, 2];
/** So long that a few requests are a burst. */
const blockTokens = 400;
/** Until then the speed model knows nothing but its assumption. */
const endMs = 450;
const lanes = [everyWorker, [0], [1, 2]];

/** Name and weight. */
const tenants = [
  ['', 1],
  ['light', 1],
  ['heavy', 3],
] as const;

const pick = fc.nat(1000);
const command = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('enter' as const),
      blocks: fc.integer({ min: 1, max: 14 }),
      priority: fc.integer({ min: -1, max: 1 }),
      lane: fc.nat(lanes.length - 1),
      tenant: fc.nat(tenants.length - 1),
      answerTokens: fc.constantFrom(1, 200, 256),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('release' as const), pick }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('withdraw' as const), pick }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(2, 30, 110) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('capacity' as const),
      worker: fc.nat(workerCount - 1),
      blocks: fc.integer({ min: 4, max: 16 }),
      known: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('running-max' as const),
      worker: fc.nat(workerCount - 1),
      requests: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('routable' as const),
      worker: fc.nat(workerCount - 1),
      routable: fc.boolean(),
    }),
  },
);

function twinOf(harness: ReturnType<typeof harnessOf>, tenantReserveMs: number): NaiveAdmission {
  const order = new WorkerTable();
  for (const index of everyWorker) order.add({ id: `w${index}`, blockSize: 4, capacityBlocks: 1, source: 'events' });
  const room = (): PoolRoom => harness.router.freeWorkers.room();
  const unlimited = { capacity: 10, runningMax: Number.POSITIVE_INFINITY, routable: true, active: 0, running: 0 };
  return new NaiveAdmission(
    everyWorker.map(() => ({ ...unlimited })),
    8,
    4,
    quantumTokens,
    tenantReserveMs === 0
      ? null
      : {
          reserve: new NaiveReserve(reserveNumbers, tenantReserveMs, room),
          order: order.inHashOrder(),
          prefillMsOf: (blocks) => blocks * blockTokens * reserveNumbers.assumedMsPerToken,
        },
  );
}

describe.each([0, 200, 30_000])('Admission with a tenant reserve of %d ms', (tenantReserveMs) => {
  it('equals its naive twin, and leaves nothing behind', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 80 }), (commands) => {
        const harness = harnessOf(
          everyWorker.map(() => ({ capacityBlocks: 10 })),
          8,
          undefined,
          tenantReserveMs,
        );
        const { router, admission, live } = harness;
        const twin = twinOf(harness, tenantReserveMs);
        let nowMs = 0;
        const waiting = new Map<number, Waiting<Named>>();
        const blocksOf = new Map<number, number>();
        const at = new Map<number, number>();
        const note = (placed: readonly NaivePlaced[]): void => {
          for (const [name, worker] of placed) {
            waiting.delete(name);
            if (worker !== null) at.set(name, worker);
          }
        };
        const release = (name: number): void => {
          harness.release(name, nowMs);
          const worker = twin.workers[at.get(name)!]!;
          worker.active -= blocksOf.get(name)!;
          worker.running -= 1;
          twin.ended(name, nowMs);
        };
        const settle = (): void => {
          const placed = twin.drain(nowMs);
          expect(harness.drain(nowMs)).toEqual(placed);
          note(placed);
        };
        for (const [name, step] of commands.entries()) {
          switch (step.kind) {
            case 'enter': {
              const workers = lanes[step.lane]!;
              const excluded = new Set(everyWorker.filter((worker) => !workers.includes(worker)));
              const lane = `${step.lane}`;
              const { priority, blocks, answerTokens } = step;
              const [tenant, weight] = tenants[step.tenant]!;
              const prompts = [ownPrompt(blocks, blockTokens)];
              const asked = applicant(name, 1, { priority, lane, excluded, prompts, maxOutputTokens: answerTokens });
              const entry = admission.enter({ ...asked, tenant, weight }, nowMs);
              const tokens = blocks * blockTokens + answerTokens;
              const expected = twin.enter({ name, priority, lane, workers, blocks, tenant, weight, tokens }, nowMs);
              blocksOf.set(name, blocks);
              if (entry.kind === 'waiting') {
                waiting.set(name, entry.waiting);
                const displaced = entry.displaced?.applicant.name;
                expect(expected).toEqual(displaced === undefined ? 'waiting' : { displaced });
                if (displaced !== undefined) waiting.delete(displaced);
                break;
              }
              if (entry.kind === 'routed') live.set(name, entry);
              if (typeof expected === 'string') expect(entry.kind).toBe(expected);
              else if ('displaced' in expected) expect.fail('the request waits');
              else {
                expect(entry.kind === 'routed' ? entry.decision.worker : entry.kind).toBe(expected[1] ?? 'refused');
                note([expected]);
              }
              break;
            }
            case 'release': {
              const names = [...live.keys()];
              if (names.length > 0) release(names[step.pick % names.length]!);
              break;
            }
            case 'withdraw': {
              const names = [...waiting.keys()];
              const chosen = names[step.pick % names.length];
              if (chosen === undefined) break;
              expect(admission.withdraw(waiting.get(chosen)!)).toBe(true);
              waiting.delete(chosen);
              twin.withdraw(chosen);
              break;
            }
            case 'wait':
              nowMs = Math.min(endMs, nowMs + step.ms);
              break;
            case 'capacity':
              router.setCapacity(step.worker, step.blocks, step.known);
              twin.workers[step.worker]!.capacity = step.known ? step.blocks : Number.POSITIVE_INFINITY;
              break;
            case 'running-max':
              router.setRunningRequestsMax(step.worker, step.requests);
              twin.workers[step.worker]!.runningMax = step.requests;
              break;
            case 'routable':
              router.setRoutable(step.worker, step.routable);
              twin.workers[step.worker]!.routable = step.routable;
              break;
          }
          settle();
          expect(admission.waiting).toBe(twin.waiting.length);
          expect(admission.waitingBlocks).toBe(twin.waiting.reduce((sum, { blocks }) => sum + blocks, 0));
          expect(router.loads().map(({ activeBlocks }) => activeBlocks)).toEqual(
            twin.workers.map(({ active }) => active),
          );
        }
        while (live.size > 0) {
          for (const name of [...live.keys()]) release(name);
          settle();
        }
        expect([admission.waiting, admission.waitingBlocks]).toEqual([0, 0]);
        expect(router.liveBookings).toBe(0);
        router.assertConsistent();
      }),
      { numRuns: 300 },
    );
  });
});

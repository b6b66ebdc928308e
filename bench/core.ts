// The core's table: hashing, index, ledger and decision on the workload of core-workload.ts, as ratios to a yardstick.

import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { PrefixIndex } from '../src/core/held/prefix-index.ts';
import { BlockHasher, type Booking, createPolicy, Router } from '../src/core/index.ts';
import { wrongCases } from './core-cases.ts';
import { measureScale, type ScaleFigure } from './core-scale.ts';
import {
  blockSize,
  type CoreWorkload,
  coreWorkload,
  queryTokens,
  type WorkerEvent,
  workerCount,
} from './core-workload.ts';
import { announceOne } from './decision.ts';
import { environment, quantiles, timeEach, yardstick } from './measure.ts';

export interface CoreSizes {
  readonly queries: number;
  /** Events of the churn, at most 400,384. */
  readonly churnEvents: number;
  readonly inFlight: number;
  /** Pairs of workers and worker-blocks. */
  readonly scale: readonly (readonly [workers: number, workerBlocks: number])[];
}

export interface CoreFigure {
  readonly name: string;
  readonly unit: 'us' | 'ns a block' | 'bytes';
  readonly p50: number;
  readonly p99: number;
  /** `p50` / the yardstick's. Null for bytes. */
  readonly ratio: number | null;
}

export interface CoreReport {
  readonly environment: string;
  readonly machine: { readonly cores: number; readonly model: string };
  readonly yardstickUs: number;
  readonly wrongOverlaps: number;
  readonly wrongCases: readonly string[];
  readonly figures: readonly CoreFigure[];
  readonly scale: readonly ScaleFigure[];
}

/** Nanoseconds a block of each event. */
function timeEvents(index: PrefixIndex, events: readonly WorkerEvent[], kind: 'stored' | 'removed'): Float64Array {
  const samples: number[] = [];
  for (const { worker, event } of events) {
    const start = process.hrtime.bigint();
    const { appliedBlocks } = index.apply(worker, event);
    const ns = Number(process.hrtime.bigint() - start);
    if (event.kind === kind) samples.push(ns / appliedBlocks);
  }
  return Float64Array.from(samples);
}

export function measureCore(sizes: CoreSizes): CoreReport {
  const measured: [name: string, unit: CoreFigure['unit'], samples: Float64Array][] = [];
  const yards: number[] = [];
  const add = (name: string, unit: CoreFigure['unit'], samples: Float64Array): void => {
    measured.push([name, unit, samples]);
    yards.push(...timeEach(200, () => void yardstick()));
  };
  const workload = coreWorkload();
  const hasher = new BlockHasher();
  const index = new PrefixIndex(hasher);
  const router = new Router({ policy: createPolicy('kv'), seed: 1, hasher });
  for (let worker = 0; worker < workerCount; worker++) {
    router.addWorker({ id: `w${worker}`, blockSize, capacityBlocks: 20_000, source: 'events' });
    index.addWorker(worker);
  }
  for (const { worker, event } of workload.load) router.applyKvEvent(worker, event, 0);
  for (let worker = 0; worker < workerCount; worker++) announceOne(router, worker);
  add('stored, loading', 'ns a block', timeEvents(index, workload.load, 'stored'));

  const asked = Array.from({ length: sizes.queries }, () => workload.query());
  const hashes = asked.map(({ tokens }) => hasher.hash(tokens, blockSize));
  const wrongOverlaps = countWrong(index, asked, hashes);
  const out = new Int32Array(workerCount);
  add(
    'hash 437 blocks',
    'us',
    timeEach(asked.length, (q) => hasher.hash(asked[q]!.tokens, blockSize)),
  );
  const overlap = (q: number): void => index.overlaps(hashes[q]!, out.fill(0), workerCount);
  add('overlap of 437 blocks with 64 workers', 'us', timeEach(asked.length, overlap));

  const live: Booking[] = [];
  let nowMs = 0;
  const book = (q: number): void => {
    const prompt = { isl: queryTokens, hashes: [hasher.hash(asked[q % asked.length]!.tokens, blockSize)] };
    const routed = router.route({ prompts: [prompt] }, ++nowMs);
    if (routed.kind === 'refused') throw new Error(routed.reason);
    live.push(routed.bookings[0]!);
  };
  for (let q = 0; q < sizes.inFlight; q++) book(q);
  const [decide, first, release] = [0, 0, 0].map(() => new Float64Array(asked.length)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  for (let q = 0; q < asked.length; q++) {
    decide[q] = timeEach(1, () => book(q))[0]!;
    first[q] = timeEach(1, () => router.firstToken(live[q]!, nowMs))[0]!;
    release[q] = timeEach(1, () => router.release(live[q]!, 'done', nowMs))[0]!;
  }
  add(`tokens in, booking out, ${sizes.inFlight} in flight`, 'us', decide);
  add('first token', 'us', first);
  add('release', 'us', release);

  const loadedBytes = index.bytes;
  const churn = takeFirst(workload, sizes.churnEvents);
  const half = churn.length / 2;
  add('stored, churn', 'ns a block', timeEvents(index, churn.slice(0, half), 'stored'));
  add('removed, churn', 'ns a block', timeEvents(index, churn.slice(half), 'removed'));
  // Only consistency: the queries' expected overlaps hold before the churn, which replaces tails.
  index.assertConsistent();
  const perBlock = (bytes: number): Float64Array => Float64Array.of(bytes / workload.shape.workerBlocks);
  add('a worker-block, loaded', 'bytes', perBlock(loadedBytes));
  add('a worker-block, after the churn', 'bytes', perBlock(index.bytes));

  const scale = sizes.scale.map(([workers, workerBlocks]) => measureScale(workers, workerBlocks, 500));
  const yardstickUs = quantiles(Float64Array.from(yards)).p50;
  const figures = measured.map(([name, unit, samples]): CoreFigure => {
    const { p50, p99 } = quantiles(samples);
    const us = unit === 'us' ? p50 : p50 / 1000;
    return { name, unit, p50, p99, ratio: unit === 'bytes' ? null : us / yardstickUs };
  });
  const cpus = os.cpus();
  const machine = { cores: cpus.length, model: cpus[0]?.model.trim() ?? 'unknown' };
  return { environment: environment(), machine, yardstickUs, wrongOverlaps, wrongCases: wrongCases(), figures, scale };
}

function countWrong(
  index: PrefixIndex,
  asked: readonly ReturnType<CoreWorkload['query']>[],
  hashes: readonly ReturnType<BlockHasher['hash']>[],
): number {
  const out = new Int32Array(workerCount);
  let wrong = 0;
  for (let q = 0; q < Math.min(2000, asked.length); q++) {
    index.overlaps(hashes[q]!, out.fill(0), workerCount);
    for (let worker = 0; worker < workerCount; worker++) if (out[worker] !== asked[q]!.trueOverlap(worker)) wrong++;
  }
  return wrong;
}

function takeFirst(workload: CoreWorkload, count: number): WorkerEvent[] {
  const events: WorkerEvent[] = [];
  for (const event of workload.stream()) if (events.push(event) >= count) break;
  return events;
}

export function printCore(report: CoreReport): void {
  const cell = (value: number | null): string => (value === null ? '' : value.toFixed(2)).padStart(10);
  console.log(report.environment);
  console.log(`yardstick: ${report.yardstickUs.toFixed(2)} us; wrong overlaps: ${report.wrongOverlaps}`);
  console.log(
    `cases of an exact index: ${report.wrongCases.length === 0 ? 'all seven' : report.wrongCases.join(', ')}\n`,
  );
  console.log(`${''.padEnd(52)}${['p50', 'p99', 'x yardstick'].map((title) => title.padStart(12)).join('')}`);
  for (const { name, unit, p50, p99, ratio } of report.figures)
    console.log(`${`${name}, ${unit}`.padEnd(52)}  ${cell(p50)}  ${cell(p99)}  ${cell(ratio)}`);
  console.log('\nworkers  worker-blocks   overlap p50 us    p99   stored ns   removed ns   bytes');
  for (const { workers, workerBlocks, overlapUs, storedNs, removedNs, bytesPerWorkerBlock } of report.scale) {
    const cells = [overlapUs.p50, overlapUs.p99, storedNs, removedNs, bytesPerWorkerBlock].map(cell);
    console.log(`${String(workers).padStart(7)}  ${String(workerBlocks).padStart(13)}  ${cells.join('  ')}`);
  }
}

export function writeCore(file: string, report: CoreReport): void {
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
}

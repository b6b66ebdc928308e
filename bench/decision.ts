// Bench of one routing decision, from 7,000 tokens to the booking, on the workload of core-workload.ts.

import { PrefixIndex } from '../src/core/held/prefix-index.ts';
import { BlockHasher, type Booking, createPolicy, type Prompt, Router } from '../src/core/index.ts';
import { blockSize, coreWorkload, queryTokens, workerCount } from './core-workload.ts';
import { environment, print, quantiles, timeEach } from './measure.ts';

const inFlight = 512;
const checkedQueries = 2000;

function check(name: string, got: number, expected: number): void {
  if (got !== expected) throw new Error(`${name}: 0x${got.toString(16)}, expected 0x${expected.toString(16)}`);
}

/** @param queries timed decisions; the checksums hold only for the full 20,000 */
export function benchDecision(queries: number): void {
  const workload = coreWorkload();
  check('checksum of the load', workload.checksums.load, 0x24da0d56);
  check('worker-blocks', workload.shape.workerBlocks, 1_048_576);
  const hasher = new BlockHasher();
  const router = new Router({ policy: createPolicy('kv'), seed: 1, hasher });
  const index = new PrefixIndex(hasher);
  for (let worker = 0; worker < workerCount; worker++) {
    router.addWorker({ id: `w${worker}`, blockSize, capacityBlocks: 20_000, source: 'events' });
    index.addWorker(worker);
  }
  for (const { worker, event } of workload.load) router.applyKvEvent(worker, event, 0);
  const loadStart = process.hrtime.bigint();
  for (const { worker, event } of workload.load) index.apply(worker, event);
  const loadNs = Number(process.hrtime.bigint() - loadStart);

  const prompts: { tokens: Uint32Array; prompt: Prompt }[] = [];
  const out = new Int32Array(workerCount);
  let mismatches = 0;
  for (let q = 0; q < queries; q++) {
    const { tokens, trueOverlap } = workload.query();
    const prompt = { isl: queryTokens, hashes: [hasher.hash(tokens, blockSize)] };
    prompts.push({ tokens, prompt });
    if (q >= checkedQueries) continue;
    index.overlaps(prompt.hashes[0]!, out.fill(0), workerCount);
    for (let worker = 0; worker < workerCount; worker++) if (out[worker] !== trueOverlap(worker)) mismatches++;
  }
  if (queries === 20_000) check('checksum of the queries', workload.checksums.queries, 0xa9c6d69a);

  console.log(environment());
  console.log(
    `${workerCount} workers, ${workload.shape.workerBlocks} worker-blocks, ${queries} prompts of ${queryTokens} tokens`,
  );
  console.log(`wrong overlaps, ${Math.min(queries, checkedQueries)} prompts x ${workerCount}: ${mismatches}\n`);
  console.log(`${'microseconds'.padEnd(52)} ${'p50'.padStart(9)} ${'p99'.padStart(9)}`);
  print(
    'hash 7,000 tokens (block and sequence hashes)',
    quantiles(timeEach(queries, (q) => hasher.hash(prompts[q]!.tokens, blockSize))),
  );
  print(
    'overlap of 437 blocks with 64 workers',
    quantiles(timeEach(queries, (q) => index.overlaps(prompts[q]!.prompt.hashes[0]!, out.fill(0), workerCount))),
  );

  const live: Booking[] = [];
  const book = (prompt: Prompt, nowMs: number): void => {
    const routed = router.route({ prompts: [prompt] }, nowMs);
    if (routed.kind === 'refused') throw new Error(routed.reason);
    live.push(routed.bookings[0]!);
  };
  let nowMs = 0;
  const step = (): number => ++nowMs;
  for (let q = 0; q < inFlight; q++) book(prompts[q % queries]!.prompt, step());
  const decide = new Float64Array(queries);
  const first = new Float64Array(queries);
  const release = new Float64Array(queries);
  let at = 0;
  for (let q = 0; q < queries; q++) {
    const { tokens } = prompts[q]!;
    const start = process.hrtime.bigint();
    book({ isl: queryTokens, hashes: [hasher.hash(tokens, blockSize)] }, step());
    const booked = process.hrtime.bigint();
    router.firstToken(live[at]!, nowMs);
    const prefilled = process.hrtime.bigint();
    router.release(live[at++]!, 'done', nowMs);
    const released = process.hrtime.bigint();
    decide[q] = Number(booked - start) / 1000;
    first[q] = Number(prefilled - booked) / 1000;
    release[q] = Number(released - prefilled) / 1000;
  }
  print(`tokens in, booking out, ${inFlight} in flight`, quantiles(decide));
  print('first token', quantiles(first));
  print('release', quantiles(release));

  const before = index.bytes;
  let events = 0;
  let streamNs = 0n;
  const batch: { worker: number; event: Parameters<PrefixIndex['apply']>[1] }[] = [];
  const flush = (): void => {
    const start = process.hrtime.bigint();
    for (const { worker, event } of batch) index.apply(worker, event);
    streamNs += process.hrtime.bigint() - start;
    batch.length = 0;
  };
  for (const one of workload.stream()) {
    events++;
    if (batch.push(one) === 4096) flush();
  }
  flush();
  check('checksum of the stream', workload.checksums.stream, 0xc71f230d);
  check('stream events', events, 400_384);
  console.log('\nKV events, ns a block (hash, handle and index)');
  console.log(
    `load: ${(loadNs / workload.shape.workerBlocks).toFixed(0)}   churn, stored and removed: ${(Number(streamNs) / (events * 8)).toFixed(0)}`,
  );
  console.log(
    `bytes a worker-block: ${(before / workload.shape.workerBlocks).toFixed(0)} loaded, ${(index.bytes / workload.shape.workerBlocks).toFixed(0)} after the churn`,
  );
  if (mismatches > 0) throw new Error(`${mismatches} wrong overlaps`);
}

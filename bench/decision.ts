// Bench of one routing decision, from the blocks of 7,000 tokens to the booking, on the workload of core-workload.ts.

import { PrefixIndex } from '../src/core/held/prefix-index.ts';
import { BlockHasher, type Booking, createPolicy, type Prompt, Router } from '../src/core/index.ts';
import { blockSize, coreWorkload, queryTokens, workerCount } from './core-workload.ts';
import { environment, print, quantiles, timeEach } from './measure.ts';

const inFlight = 512;
const checkedQueries = 2000;

/** The default policy and the one that its decisions are compared with. */
const comparedPolicies = ['kv', 'foresee'] as const;

/** Requests through one router: each turn books one, and ends the one that was booked first. */
class Life {
  readonly #router: Router;
  readonly #live: Booking[] = [];
  #ended = 0;
  #nowMs = 0;

  constructor(router: Router) {
    this.#router = router;
  }

  book(prompt: Prompt): void {
    const routed = this.#router.route({ prompts: [prompt] }, ++this.#nowMs);
    if (routed.kind === 'refused') throw new Error(routed.reason);
    this.#live.push(routed.bookings[0]!);
  }

  /** Microseconds of the booking, the first token and the release, into row `q`. */
  turn(prompt: Prompt, [decide, first, release]: readonly Float64Array[], q: number): void {
    const start = process.hrtime.bigint();
    this.book(prompt);
    const booked = process.hrtime.bigint();
    const oldest = this.#live[this.#ended++]!;
    this.#router.firstToken(oldest, this.#nowMs);
    const prefilled = process.hrtime.bigint();
    this.#router.release(oldest, 'done', this.#nowMs);
    const released = process.hrtime.bigint();
    decide![q] = Number(booked - start) / 1000;
    first![q] = Number(prefilled - booked) / 1000;
    release![q] = Number(released - prefilled) / 1000;
  }
}

function check(name: string, got: number, expected: number): void {
  if (got !== expected) throw new Error(`${name}: 0x${got.toString(16)}, expected 0x${expected.toString(16)}`);
}

/**
 * Computes one prompt on the worker and announces it, as every engine with KV events does. Before the first such event
 * the router does not know the lag of the events, and keeps the blocks of ended requests promised for longer.
 */
export function announceOne(router: Router, worker: number): void {
  const sequence = Uint32Array.of(worker, 1);
  const hashes = { blockSize, count: 1, sequence, blockTokens: blockSize };
  const excluded = new Set(
    Array.from({ length: workerCount }, (_, index) => index).filter((index) => index !== worker),
  );
  const routed = router.route({ prompts: [{ isl: blockSize + 1, hashes: [hashes] }], excluded }, 0);
  if (routed.kind === 'refused') throw new Error(routed.reason);
  const booking = routed.bookings[0]!;
  router.firstToken(booking, 0);
  const stored = { hashes: sequence, sequence, parent: null, tokens: new Uint32Array(0), lora: null, salt: null };
  router.applyKvEvent(worker, { kind: 'stored', blockSize, extras: null, ...stored }, 0);
  router.applyKvEvent(worker, { kind: 'removed', hashes: sequence }, 0);
  router.release(booking, 'done', 0);
}

/** @param queries timed decisions; the checksums hold only for the full 20,000 */
export function benchDecision(queries: number): void {
  const workload = coreWorkload();
  check('checksum of the load', workload.checksums.load, 0x24da0d56);
  check('worker-blocks', workload.shape.workerBlocks, 1_048_576);
  const hasher = new BlockHasher();
  const routers = comparedPolicies.map((name) => new Router({ policy: createPolicy(name), seed: 1, hasher }));
  const index = new PrefixIndex(hasher);
  for (let worker = 0; worker < workerCount; worker++) {
    for (const router of routers)
      router.addWorker({ id: `w${worker}`, blockSize, capacityBlocks: 20_000, source: 'events' });
    index.addWorker(worker);
  }
  for (const { worker, event } of workload.load) for (const router of routers) router.applyKvEvent(worker, event, 0);
  for (const router of routers) for (let worker = 0; worker < workerCount; worker++) announceOne(router, worker);
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

  // The policies take turns, so that a busy machine slows all of them alike.
  const lives = routers.map((router) => new Life(router));
  for (let q = 0; q < inFlight; q++) for (const life of lives) life.book(prompts[q % queries]!.prompt);
  const times = lives.map(() => [0, 0, 0].map(() => new Float64Array(queries)));
  for (let q = 0; q < queries; q++) {
    for (const [i, life] of lives.entries()) life.turn(prompts[q]!.prompt, times[i]!, q);
  }
  for (const [i, name] of comparedPolicies.entries()) {
    print(`${name}: blocks in, booking out, ${inFlight} in flight`, quantiles(times[i]![0]!));
    print(`${name}: first token`, quantiles(times[i]![1]!));
    print(`${name}: release`, quantiles(times[i]![2]!));
  }

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

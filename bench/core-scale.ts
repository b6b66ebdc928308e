// Index of any number of workers and blocks: the price of a look-up and of events as both grow.

import { PrefixIndex } from '../src/core/held/prefix-index.ts';
import { BlockHasher, type BlockHashes, type KvEvent } from '../src/core/index.ts';
import { quantiles, timeEach } from './measure.ts';

export interface ScaleFigure {
  readonly workers: number;
  readonly workerBlocks: number;
  readonly overlapUs: { readonly p50: number; readonly p99: number };
  readonly storedNs: number;
  readonly removedNs: number;
  readonly bytesPerWorkerBlock: number;
}

const chainBlocks = 224;
const promptBlocks = 437;
const eventBlocks = 8;
/** Workers that hold the same chain. */
const holders = 8;

function mixed(...parts: number[]): number {
  let z = 0x6b760005;
  for (const part of parts) {
    z = Math.imul((z ^ part) + 0x9e3779b9, 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    z ^= z >>> 15;
  }
  return z >>> 0;
}

/** Event of eight blocks of a chain, with handles of the worker's own. */
function eventOf(kind: 'stored' | 'removed', worker: number, chain: number, first: number): KvEvent {
  const hashes = new Uint32Array(2 * eventBlocks);
  const sequence = new Uint32Array(2 * eventBlocks);
  for (let i = 0; i < 2 * eventBlocks; i++) {
    const block = first + (i >>> 1);
    hashes[i] = mixed(worker, chain, block, i & 1);
    sequence[i] = mixed(chain, block, i & 1);
  }
  if (kind === 'removed') return { kind, hashes };
  const about = { parent: null, tokens: new Uint32Array(0), blockSize: 16, lora: null, salt: null, extras: null };
  return { kind, hashes, sequence, ...about };
}

/** A chain, then blocks that nobody holds. */
function promptOf(chain: number, query: number): BlockHashes {
  const sequence = new Uint32Array(2 * promptBlocks);
  for (let i = 0; i < sequence.length; i++) {
    const block = i >>> 1;
    sequence[i] = block < chainBlocks ? mixed(chain, block, i & 1) : mixed(chain, block, i & 1, query);
  }
  return { blockSize: 16, count: promptBlocks, sequence, blockTokens: 16 };
}

/** Nanoseconds a block of applying the events, without those of making them. */
function apply(index: PrefixIndex, events: Iterable<[worker: number, event: KvEvent]>): number {
  let ns = 0;
  let blocks = 0;
  let batch: [number, KvEvent][] = [];
  const flush = (): void => {
    const start = process.hrtime.bigint();
    for (const [worker, event] of batch) index.apply(worker, event);
    ns += Number(process.hrtime.bigint() - start);
    blocks += batch.length * eventBlocks;
    batch = [];
  };
  for (const one of events) if (batch.push(one) === 1024) flush();
  flush();
  return ns / blocks;
}

export function measureScale(workers: number, workerBlocks: number, prompts: number): ScaleFigure {
  const index = new PrefixIndex(new BlockHasher());
  for (let worker = 0; worker < workers; worker++) index.addWorker(worker);
  const shares = Math.min(holders, workers);
  const chains = Math.max(1, Math.round(workerBlocks / chainBlocks / shares));
  function* all(kind: 'stored' | 'removed', from: number, to: number): Generator<[number, KvEvent]> {
    for (let chain = from; chain < to; chain++)
      for (let share = 0; share < shares; share++) {
        const worker = (chain + share) % workers;
        for (let first = 0; first < chainBlocks; first += eventBlocks)
          yield [worker, eventOf(kind, worker, chain, first)];
      }
  }
  const storedNs = apply(index, all('stored', 0, chains));
  const bytesPerWorkerBlock = index.bytes / (chains * shares * chainBlocks);
  const asked = Array.from({ length: prompts }, (_, query) => promptOf(mixed(query) % chains, query));
  const out = new Int32Array(workers);
  let wrong = 0;
  for (const hashes of asked) {
    index.overlaps(hashes, out.fill(0), workers);
    if (out.filter((blocks) => blocks === chainBlocks).length !== shares) wrong++;
  }
  if (wrong > 0) throw new Error(`${wrong} wrong overlaps with ${workers} workers`);
  const overlapUs = quantiles(timeEach(prompts, (query) => index.overlaps(asked[query]!, out.fill(0), workers)));
  // The oldest tenth, at most 100,000 worker-blocks: enough for a mean, in a second at most.
  const given = Math.max(1, Math.min(Math.floor(chains / 10), Math.ceil(100_000 / chainBlocks / shares)));
  const removedNs = apply(index, all('removed', 0, given));
  return { workers, workerBlocks, overlapUs, storedNs, removedNs, bytesPerWorkerBlock };
}

// Workload of the core bench: 64 workers, 1,048,576 worker-blocks, prompts of 7,000 tokens. Uses u32 arithmetic only.
//
// A chain is system (64 blocks) + document (128) + tail (32). Every worker holds 16,384 blocks of Zipf-drawn chains,
// under its own engine hashes. Checksums are at the end.

import type { BlocksRemoved, BlocksStored, KvEvent } from '../src/core/index.ts';

export const workerCount = 64;
export const blockSize = 16;
export const queryTokens = 7000;
const heldBlocksPerWorker = 16_384;
const systems = 200;
const documentsPerSystem = 8;
const tailsPerDocument = 16;
const systemBlocks = 64;
const documentBlocks = 128;
const tailBlocks = 32;
const eventBlocks = 8;
const streamGroups = 782;

const systemTokens = 1;
const documentTokens = 2;
const tailTokens = 3;
const freshTokens = 4;
const ownTokens = 5;

function fin(value: number): number {
  let z = value;
  z ^= z >>> 16;
  z = Math.imul(z, 0x21f0aaad);
  z ^= z >>> 15;
  z = Math.imul(z, 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}

function key(start: number, ...parts: number[]): number {
  let h = start;
  for (const part of parts) h = fin(((h ^ part) + 0x9e3779b9) >>> 0);
  return h >>> 0;
}

class SplitMix32 {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    return fin(this.#state);
  }
}

const zipfSums: number[] = [];
for (let s = 0, sum = 0; s < systems; s++) {
  sum += Math.floor((1 << 20) / (s + 1));
  zipfSums.push(sum);
}

interface Chain {
  readonly s: number;
  readonly d: number;
  readonly t: number;
}

function drawChain(random: SplitMix32): Chain {
  const r = random.next() % zipfSums[systems - 1]!;
  const s = zipfSums.findIndex((sum) => sum > r);
  const d = random.next() % documentsPerSystem;
  const t = random.next() % tailsPerDocument;
  return { s, d, t };
}

/** A stretch of blocks identified by kind, a, b, c. */
interface Segment {
  readonly kind: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

const documentIndex = (chain: Chain): number => chain.s * documentsPerSystem + chain.d;
const tailIndex = (chain: Chain): number => documentIndex(chain) * tailsPerDocument + chain.t;
const systemOf = (chain: Chain): Segment => ({ kind: systemTokens, a: chain.s, b: 0, c: 0 });
const documentOf = (chain: Chain): Segment => ({ kind: documentTokens, a: chain.s, b: chain.d, c: 0 });
const tailOf = (chain: Chain): Segment => ({ kind: tailTokens, a: chain.s, b: chain.d, c: chain.t });

function writeTokens(segment: Segment, block: number, out: Uint32Array, at: number, count = blockSize): void {
  const { kind, a, b, c } = segment;
  const h1 = key(0x6b760001, kind, a, b, c, block);
  const h2 = key(0x6b760002, kind, a, b, c, block);
  for (let j = 1; j <= count; j++) {
    const x = fin((h1 + Math.imul(j, 0x9e3779b9)) >>> 0);
    const y = fin((h2 + Math.imul(j, 0x85ebca6b)) >>> 0);
    out[at + j - 1] = ((x ^ y) >>> 0) % 128_000;
  }
}

function writeHandle(worker: number, segment: Segment, block: number, out: Uint32Array, at: number): void {
  const { kind, a, b, c } = segment;
  out[at] = key(0x6b760003, worker, kind, a, b, c, block);
  out[at + 1] = key(0x6b760004, worker, kind, a, b, c, block);
}

/** The block before a segment's first block. */
interface Place {
  readonly segment: Segment;
  readonly block: number;
}

function storedEvent(worker: number, segment: Segment, first: number, parent: Place | null): BlocksStored {
  const hashes = new Uint32Array(2 * eventBlocks);
  const tokens = new Uint32Array(blockSize * eventBlocks);
  for (let i = 0; i < eventBlocks; i++) {
    writeHandle(worker, segment, first + i, hashes, 2 * i);
    writeTokens(segment, first + i, tokens, blockSize * i);
  }
  const above = first > 0 ? { segment, block: first - 1 } : parent;
  let parentHandle: Uint32Array | null = null;
  if (above) {
    parentHandle = new Uint32Array(2);
    writeHandle(worker, above.segment, above.block, parentHandle, 0);
  }
  return { kind: 'stored', hashes, parent: parentHandle, tokens, blockSize, lora: null, salt: null, extras: null };
}

function removedEvent(worker: number, segment: Segment, first: number): BlocksRemoved {
  const hashes = new Uint32Array(2 * eventBlocks);
  for (let i = 0; i < eventBlocks; i++) writeHandle(worker, segment, first + eventBlocks - 1 - i, hashes, 2 * i);
  return { kind: 'removed', hashes };
}

export interface WorkerEvent {
  readonly worker: number;
  readonly event: KvEvent;
}

interface Item {
  readonly segment: Segment;
  readonly globalIndex: number;
  /** Kind in the checksum: 0 system, 1 document, 2 tail, 3 unique suffix. */
  readonly sumKind: number;
  readonly parent: Place;
}

class WorkerState {
  readonly systems = new Set<number>();
  readonly documents: Chain[] = [];
  readonly documentSet = new Set<number>();
  readonly tails = new Set<number>();
  readonly queue: Item[] = [];
  heldBlocks = 0;
  ownSuffixes = 0;
}

export interface CoreWorkload {
  /** In load order: event i of every worker, then event i + 1. */
  readonly load: WorkerEvent[];
  /** Churn at a constant number of held blocks. Generated lazily, because it is large. */
  stream(): Generator<WorkerEvent>;
  query(): { tokens: Uint32Array; trueOverlap(worker: number): number };
  /** Checksums so far. `load` is complete at once; `stream` and `queries` cover what was generated so far. */
  readonly checksums: { load: number; stream: number; queries: number };
  readonly shape: { workerBlocks: number; ownSuffixes: () => number };
}

function tailItem(chain: Chain): Item {
  const segment = tailOf(chain);
  const parent = { segment: documentOf(chain), block: documentBlocks - 1 };
  return { segment, globalIndex: tailIndex(chain), sumKind: 2, parent };
}

export function coreWorkload(): CoreWorkload {
  const checksums = { load: 0, stream: 0, queries: 0 };
  const random = new SplitMix32(0x5eed0001);
  const states: WorkerState[] = [];
  const perWorker: { event: KvEvent; sum: [number, number, number] }[][] = [];
  for (let worker = 0; worker < workerCount; worker++) {
    const state = new WorkerState();
    const events: { event: KvEvent; sum: [number, number, number] }[] = [];
    const addSegment = (
      segment: Segment,
      blocks: number,
      sumKind: number,
      index: number,
      parent: Place | null,
    ): void => {
      for (let first = 0; first < blocks; first += eventBlocks) {
        events.push({ event: storedEvent(worker, segment, first, parent), sum: [sumKind, index, first] });
      }
      state.heldBlocks += blocks;
    };
    while (state.heldBlocks < heldBlocksPerWorker) {
      const chain = drawChain(random);
      const newSystem = !state.systems.has(chain.s);
      const newDocument = !state.documentSet.has(documentIndex(chain));
      const newTail = !state.tails.has(tailIndex(chain));
      const missing = (newSystem ? systemBlocks : 0) + (newDocument ? documentBlocks : 0) + (newTail ? tailBlocks : 0);
      if (missing === 0 || state.heldBlocks + missing > heldBlocksPerWorker) continue;
      if (newSystem) {
        state.systems.add(chain.s);
        addSegment(systemOf(chain), systemBlocks, 0, chain.s, null);
      }
      if (newDocument) {
        state.documentSet.add(documentIndex(chain));
        state.documents.push(chain);
        addSegment(documentOf(chain), documentBlocks, 1, documentIndex(chain), {
          segment: systemOf(chain),
          block: systemBlocks - 1,
        });
      }
      if (newTail) {
        state.tails.add(tailIndex(chain));
        const item = tailItem(chain);
        state.queue.push(item);
        addSegment(item.segment, tailBlocks, 2, item.globalIndex, item.parent);
      }
    }
    states.push(state);
    perWorker.push(events);
  }
  const load: WorkerEvent[] = [];
  for (let i = 0; perWorker.some((events) => i < events.length); i++) {
    for (let worker = 0; worker < workerCount; worker++) {
      const one = perWorker[worker]![i];
      if (!one) continue;
      load.push({ worker, event: one.event });
      checksums.load = key(checksums.load, worker, 1, ...one.sum);
    }
  }

  let ownSuffixes = 0;
  const streamRandom = new SplitMix32(0x5eed0003);
  function* stream(): Generator<WorkerEvent> {
    for (let group = 0; group < streamGroups; group++) {
      const pairs = states.map((state) => {
        const old = state.queue.shift()!;
        if (old.sumKind === 2) state.tails.delete(old.globalIndex);
        const item = nextItem(state, old);
        state.queue.push(item);
        return { old, item };
      });
      for (let e = 0; e < tailBlocks / eventBlocks; e++) {
        for (let worker = 0; worker < workerCount; worker++) {
          const { old, item } = pairs[worker]!;
          const oldFirst = eventBlocks * (tailBlocks / eventBlocks - 1 - e);
          checksums.stream = key(checksums.stream, worker, 0, old.sumKind, old.globalIndex, oldFirst);
          yield { worker, event: removedEvent(worker, old.segment, oldFirst) };
          checksums.stream = key(checksums.stream, worker, 1, item.sumKind, item.globalIndex, eventBlocks * e);
          yield { worker, event: storedEvent(worker, item.segment, eventBlocks * e, item.parent) };
        }
      }
    }
  }
  function nextItem(state: WorkerState, old: Item): Item {
    const worker = states.indexOf(state);
    if (streamRandom.next() % 2 === 0) {
      for (let draw = 0; draw < 64; draw++) {
        const chain = drawChain(streamRandom);
        const index = tailIndex(chain);
        if (!state.documentSet.has(documentIndex(chain)) || state.tails.has(index)) continue;
        if (old.sumKind === 2 && old.globalIndex === index) continue;
        state.tails.add(index);
        return tailItem(chain);
      }
    }
    const chain = state.documents[streamRandom.next() % state.documents.length]!;
    const segment = { kind: ownTokens, a: worker, b: state.ownSuffixes++, c: 0 };
    const parent = { segment: documentOf(chain), block: documentBlocks - 1 };
    return { segment, globalIndex: ownSuffixes++, sumKind: 3, parent };
  }

  const queryRandom = new SplitMix32(0x5eed0002);
  let queries = 0;
  function query(): ReturnType<CoreWorkload['query']> {
    const chain = drawChain(queryRandom);
    checksums.queries = key(checksums.queries, tailIndex(chain));
    const tokens = new Uint32Array(queryTokens);
    let at = 0;
    const add = (segment: Segment, blocks: number): void => {
      for (let block = 0; block < blocks; block++, at += blockSize) writeTokens(segment, block, tokens, at);
    };
    add(systemOf(chain), systemBlocks);
    add(documentOf(chain), documentBlocks);
    add(tailOf(chain), tailBlocks);
    const fresh = { kind: freshTokens, a: queries++, b: 0, c: 0 };
    add(fresh, 213);
    writeTokens(fresh, 213, tokens, at, queryTokens - at);
    const trueOverlap = (worker: number): number => {
      const state = states[worker]!;
      if (!state.systems.has(chain.s)) return 0;
      if (!state.documentSet.has(documentIndex(chain))) return systemBlocks;
      return systemBlocks + documentBlocks + (state.tails.has(tailIndex(chain)) ? tailBlocks : 0);
    };
    return { tokens, trueOverlap };
  }

  const shape = {
    workerBlocks: states.reduce((sum, state) => sum + state.heldBlocks, 0),
    ownSuffixes: () => ownSuffixes,
  };
  return { load, stream, query, checksums, shape };
}

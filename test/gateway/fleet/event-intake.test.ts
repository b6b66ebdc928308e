import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BlockHasher, type BlocksStored } from '../../../src/core/index.ts';
import { Random } from '../../../src/core/random.ts';
import { resolveConfig } from '../../../src/gateway/config/config.ts';
import { Engine, Worker } from '../../../src/gateway/engines/engine.ts';
import { updatedTraits, type WorkerTraits } from '../../../src/gateway/engines/worker-traits.ts';
import { EventIntake, toldBlocksMax } from '../../../src/gateway/fleet/event-intake.ts';
import { Pool } from '../../../src/gateway/pools/pool.ts';
import { soundFeed } from '../sound-feed.ts';

const url = 'http://127.0.0.1:9';
const told: WorkerTraits = {
  blockSize: 16,
  blockSizeFrom: 'assumed',
  pageSize: 16,
  pageSizeTold: false,
  pageSizeUnfit: null,
  capacityBlocks: 100,
  capacityFrom: 'assumed',
  source: 'events',
};
let engine: Engine;
let pool: Pool;

beforeEach(() => {
  engine = new Engine({ url });
  pool = new Pool('m', resolveConfig({ workers: [url] }));
});
afterEach(() => engine.upstream.close());

function join(rank: number, traits: Partial<WorkerTraits> = {}): Worker {
  const nothing = { prefixCaching: null, blockSize: null, events: { kind: 'unknown' } } as const;
  const worker = new Worker(engine, rank, { ...told, ...traits }, nothing);
  worker.membership = { router: pool.router, index: pool.add(worker) };
  engine.workers = [...engine.workers, worker];
  return worker;
}

const intakeOf = (worker: Worker): EventIntake => new EventIntake(worker, pino({ level: 'silent' }));

let nextHash = 1;
function stored(blockSize: number, fields: Partial<BlocksStored> = {}): BlocksStored {
  return {
    kind: 'stored',
    hashes: Uint32Array.of(nextHash++, 7),
    parent: null,
    tokens: Uint32Array.from({ length: blockSize }, (_, i) => nextHash * 1000 + i),
    blockSize,
    lora: null,
    salt: null,
    extras: null,
    ...fields,
  };
}

const heldBlocks = (worker: Worker): number => pool.router.heldBlocks(worker.membership!.index);

describe('a publisher that keeps changing its mind', () => {
  it('fills no log', () => {
    const worker = join(0);
    worker.feed = { status: soundFeed, address: soundFeed } as never;
    const lines: string[] = [];
    const intake = new EventIntake(worker, pino({ level: 'info' }, { write: (line) => void lines.push(line) }));
    for (let turn = 0; turn < 50; turn++) {
      // So many in a row are no special group of blocks.
      for (let i = 0; i < 16; i++) intake.event(stored(turn % 2 === 0 ? 32 : 64));
      intake.broken('restart');
      for (let batch = 0; batch < 3; batch++) {
        intake.batch({ kind: 'head', timestampS: 0, rank: 0 });
        intake.skipped('attention-kind');
      }
    }
    const count = (message: string): number => lines.filter((line) => line.includes(message)).length;
    expect(['block size learnt', 'announce no block', 'feed broken'].map(count)).toEqual([1, 1, 1]);
  });
});

describe('events of other attention kinds', () => {
  const kindOf = (worker: Worker): string => worker.trust(0).kind;
  const sourceOf = (worker: Worker): string => pool.router.loads()[worker.membership!.index]!.source;
  const partialBatch = (intake: EventIntake, events = 2): void => {
    intake.batch({ kind: 'head', timestampS: 0, rank: 0 });
    for (let i = 0; i < events; i++) intake.skipped('attention-kind');
  };

  it('alone make the worker approximate with that cause, until the first whole prefix', () => {
    const worker = join(0);
    worker.feed = { status: soundFeed, address: soundFeed } as never;
    const intake = intakeOf(worker);
    for (let i = 0; i < 2; i++) partialBatch(intake);
    expect([sourceOf(worker), kindOf(worker)]).toEqual(['events', 'exact']);
    partialBatch(intake);
    expect(sourceOf(worker)).toBe('approximate');
    expect(worker.trust(0)).toMatchObject({ kind: 'approximate', reason: 'attention-kind' });
    intake.event(stored(16));
    expect([sourceOf(worker), kindOf(worker), heldBlocks(worker)]).toEqual(['events', 'exact', 1]);
    for (let i = 0; i < 9; i++) partialBatch(intake);
    expect(sourceOf(worker)).toBe('events');
  });

  it('beside full-attention events, in any order, change nothing; a new process is judged again', () => {
    const worker = join(0);
    worker.feed = { status: soundFeed, address: soundFeed } as never;
    const intake = intakeOf(worker);
    partialBatch(intake, 40);
    intake.event(stored(16));
    for (let i = 0; i < 5; i++) partialBatch(intake);
    expect(sourceOf(worker)).toBe('events');
    intake.broken('restart');
    for (let i = 0; i < 3; i++) partialBatch(intake);
    expect(sourceOf(worker)).toBe('approximate');
    intake.broken('restart');
    expect([sourceOf(worker), kindOf(worker)]).toEqual(['events', 'exact']);
    for (let i = 0; i < 3; i++) partialBatch(intake);
    intake.dead('gone');
    intake.alive();
    expect(sourceOf(worker)).toBe('approximate');
    intake.closed();
    expect(sourceOf(worker)).toBe('events');
  });
});

describe('EventIntake', () => {
  it('applies events to the worker whose rank the batch names, otherwise to its own', () => {
    const [first, second] = [join(0), join(1)];
    const intake = intakeOf(first);
    intake.batch({ kind: 'head', timestampS: 0, rank: 1 });
    intake.event(stored(16));
    for (const rank of [0, null, 7]) {
      intake.batch({ kind: 'head', timestampS: 0, rank });
      intake.event(stored(16));
    }
    expect([heldBlocks(first), heldBlocks(second)]).toEqual([3, 1]);
  });

  it('learns a small page size, and indexes larger blocks', () => {
    const worker = join(0);
    const intake = intakeOf(worker);
    const hashes = Uint32Array.from({ length: 2 * 40 }, (_, i) => i + 1);
    intake.event(stored(1, { hashes, tokens: Uint32Array.from({ length: 40 }, (_, i) => i) }));
    expect(worker.traits).toMatchObject({ blockSize: 16, pageSize: 1, blockSizeFrom: 'events', pageSizeTold: true });
    expect(heldBlocks(worker)).toBe(2);
  });

  it('skips events of another size until they prove to be the rule', () => {
    const worker = join(0);
    const intake = intakeOf(worker);
    intake.event(stored(8));
    for (let i = 0; i < 15; i++) intake.event(stored(64));
    expect(worker.traits).toMatchObject({ blockSize: 8 });
    expect([heldBlocks(worker), worker.events.skippedEvents]).toEqual([1, 15]);
    intake.event(stored(64));
    expect(worker.traits).toMatchObject({ blockSize: 64, pageSizeTold: true });
    expect(heldBlocks(worker)).toBe(1);
  });

  it('learns again from a new process', () => {
    const worker = join(0);
    const intake = intakeOf(worker);
    intake.event(stored(8));
    intake.broken('restart');
    expect(heldBlocks(worker)).toBe(0);
    intake.event(stored(32));
    expect(worker.traits).toMatchObject({ blockSize: 32, blockSizeFrom: 'events' });
    expect(heldBlocks(worker)).toBe(1);
  });

  it("keeps a configured size, and reports if it can't be used", () => {
    const worker = join(0, { blockSize: 32, pageSize: 32, blockSizeFrom: 'setting' });
    const intake = intakeOf(worker);
    intake.event(stored(20));
    expect(worker.traits).toMatchObject({ blockSize: 32, pageSizeUnfit: 20 });
    intake.event(stored(16));
    expect(worker.traits).toMatchObject({ blockSize: 32, pageSize: 16, pageSizeUnfit: null, blockSizeFrom: 'setting' });
  });

  it('counts skipped events by reason', () => {
    const worker = join(0);
    const intake = intakeOf(worker);
    for (const reason of ['medium', 'medium', 'unknown-type'] as const) intake.skipped(reason);
    expect(worker.events).toMatchObject({ skippedEvents: 3, skipped: { medium: 2, 'unknown-type': 1 } });
  });
});

describe('updatedTraits', () => {
  it("keeps values from events over the engine's statements", () => {
    const learnt = { ...told, blockSize: 32, pageSize: 32, pageSizeTold: true, blockSizeFrom: 'events' as const };
    expect(updatedTraits(learnt, { ...told, blockSizeFrom: 'engine' })).toEqual(learnt);
    const inferred = { ...told, capacityBlocks: 30, capacityFrom: 'evictions' as const };
    expect(updatedTraits(inferred, told)).toEqual(inferred);
    const engineTold = { ...told, capacityBlocks: 50, capacityFrom: 'engine' as const };
    expect(updatedTraits(inferred, engineTold)).toEqual(engineTold);
    expect(updatedTraits(told, { ...told, blockSize: 8, pageSize: 8 })).toMatchObject({ blockSize: 8 });
  });
});

describe('EventIntake without events', () => {
  it('mirrors the blocks of our own decisions while the feed is given up, and uses events afterwards', () => {
    const worker = join(0, { blockSize: 4, pageSize: 4 });
    const { router, index } = worker.membership!;
    router.setRoutable(index, true);
    const intake = intakeOf(worker);
    intake.event(stored(4));
    expect(heldBlocks(worker)).toBe(1);
    intake.dead('ECONNREFUSED');
    expect(heldBlocks(worker)).toBe(0);
    const hashes = router.blockSizes().map((size) => new BlockHasher().hash(Uint32Array.of(1, 2, 3, 4, 5), size));
    const routed = router.route({ prompts: [{ isl: 5, hashes }] }, 0);
    expect(routed.kind).toBe('routed');
    if (routed.kind === 'routed') router.release(routed.bookings[0]!, 'done', 0);
    expect(heldBlocks(worker)).toBe(1);
    intake.alive();
    expect([heldBlocks(worker), router.load(index).source]).toEqual([0, 'events']);
    intake.dead('ECONNREFUSED');
    intake.closed();
    expect(router.load(index).source).toBe('events');
  });
});

describe('EventIntake with more blocks than fit', () => {
  /** Held blocks by the rule: a store that would exceed the limit drops all others first. */
  class NaiveHoldings {
    handles = new Map<number, number>();
    overflows = 0;

    store(first: number, count: number, max: number): void {
      if (this.handles.size + count > max) {
        this.handles.clear();
        this.overflows += 1;
      }
      if (count > max) return;
      for (let i = 0; i < count; i++) this.handles.set(first + i, (this.handles.get(first + i) ?? 0) + 1);
    }

    remove(handle: number): void {
      const copies = this.handles.get(handle);
      if (copies === 1) this.handles.delete(handle);
      else if (copies !== undefined) this.handles.set(handle, copies - 1);
    }
  }

  it('forgets all of them, like the naive twin, and logs it once', () => {
    const worker = join(0, { blockSize: 4, pageSize: 4, capacityFrom: 'engine', capacityBlocks: 100 });
    const max = toldBlocksMax(worker.traits);
    expect(max).toBe(65_536);
    const twin = new NaiveHoldings();
    let lines = 0;
    const intake = new EventIntake(worker, pino({ level: 'warn' }, { write: () => (lines += 1) }));
    const random = new Random(5);
    const blocks = (first: number, count: number): BlocksStored => ({
      ...stored(4),
      hashes: Uint32Array.from({ length: 2 * count }, (_, i) => (i % 2 === 0 ? first + i / 2 : 9)),
      tokens: Uint32Array.from({ length: 4 * count }, (_, i) => 4 * first + i),
    });
    for (let step = 0; step < 60; step++) {
      const first = random.below(200_000);
      const count = step === 30 ? max + 1 : 1 + random.below(8000);
      intake.event(blocks(first, count));
      twin.store(first, count, max);
      intake.event({ kind: 'removed', hashes: Uint32Array.of(first, 9) });
      twin.remove(first);
      expect(pool.router.toldBlocks(worker.membership!.index)).toBe(twin.handles.size);
    }
    expect(twin.overflows).toBeGreaterThan(2);
    expect(lines).toBe(1);
    pool.router.assertConsistent();
  });
});

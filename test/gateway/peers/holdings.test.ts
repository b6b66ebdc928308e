import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BlocksStored, createPolicy, type KvEvent, Random, Router } from '../../../src/core/index.ts';
import type { Worker } from '../../../src/gateway/engines/engine.ts';
import { FeedAdoption } from '../../../src/gateway/feeds/feed-adoption.ts';
import { FeedMemory } from '../../../src/gateway/feeds/feed-memory.ts';
import { FeedSequence } from '../../../src/gateway/feeds/feed-sequence.ts';
import { IntakeBudget } from '../../../src/gateway/feeds/intake-budget.ts';
import { HoldingsClient } from '../../../src/gateway/peers/holdings-client.ts';
import { readAnswer, readQuestion, writeAnswer, writeQuestion } from '../../../src/gateway/peers/holdings-format.ts';
import { copiesMax, HoldingsServer } from '../../../src/gateway/peers/holdings-server.ts';

const blockSize = 16;
const workerId = 'http://10.0.0.1:8000#0';

function newRouter(): { router: Router; index: number } {
  const router = new Router({ policy: createPolicy('kv'), seed: 1 });
  const index = router.addWorker({ id: workerId, blockSize, capacityBlocks: 1_000_000, source: 'events' });
  return { router, index };
}

/** A worker whose feed has applied batches up to `seq`. */
function workerOf(router: Router, index: number, seq = 41, whole = true): Worker {
  const memory = new FeedMemory();
  memory.add(seq, new Uint8Array([1, 2, 3]));
  const feed = {
    whole,
    status: { lastSeq: seq },
    whenWhole: (task: (seq: number, prints: object) => unknown) => Promise.resolve(task(seq, memory.prints())),
  };
  return { id: workerId, membership: { router, index }, feed, traits: { pageSize: blockSize } } as unknown as Worker;
}

function apply(router: Router, index: number, event: KvEvent): void {
  router.applyKvEvent(index, event, 0);
}

const words = (random: Random, count: number): Uint32Array =>
  Uint32Array.from({ length: 2 * count }, () => random.uint32());

function stored(random: Random, blocks: number): BlocksStored {
  const tokens = Uint32Array.from({ length: blocks * blockSize }, () => random.below(50_000));
  const chain = { parent: null, blockSize, lora: null, salt: null, extras: null };
  return { kind: 'stored', hashes: words(random, blocks), tokens, ...chain };
}

function client(server: HoldingsServer, lose: () => boolean = () => false): HoldingsClient {
  return new HoldingsClient({
    replicas: () => ['a'],
    isFinding: () => false,
    // As they arrive from a socket: at any place of a larger buffer.
    ask: async (_replica, bytes) => {
      const answer = lose() ? null : await server.answer(bytes);
      return answer === null ? null : Buffer.concat([Buffer.from('x'), answer]).subarray(1);
    },
  });
}

async function adopt(
  source: HoldingsClient,
  seqMin = -1,
): Promise<{ router: Router; index: number; sequence: FeedSequence; outcome: string }> {
  const { router, index } = newRouter();
  const sequence = new FeedSequence();
  const { signal } = new AbortController();
  const adoption = new FeedAdoption(sequence, new FeedMemory(), {
    budget: new IntakeBudget(() => performance.now()),
    signal,
    listener: {
      copy: (min, stop) => source.copyOf(workerId, min, stop),
      broken: () => router.dropBlocks(index),
      event: (event) => void router.applyKvEvent(index, event, 0),
    },
  });
  return { router, index, sequence, outcome: await adoption.run(seqMin) };
}

describe('a copy of the index', () => {
  it('makes another router equal: it takes later events as the first one does, whatever had happened', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = new Random(seed);
        const { router, index } = newRouter();
        const live: Uint32Array[] = [];
        const run = (target: Router, at: number, event: KvEvent): void => apply(target, at, structuredClone(event));
        const next = (): KvEvent => {
          const known = live[random.below(live.length || 1)];
          const kind = random.below(4);
          if (kind === 0 && known !== undefined) return { kind: 'removed', hashes: known.slice(0, 2) };
          // The same blocks again are a further copy of each.
          const event = stored(random, 1 + random.below(6));
          live.push(event.hashes.slice());
          return event;
        };
        const repeated: KvEvent[] = [];
        for (let i = 0; i < 30; i++) {
          const event = next();
          if (event.kind === 'stored' && random.below(3) === 0) repeated.push(event);
          run(router, index, event);
        }
        for (const event of repeated) run(router, index, event);
        const taken = await adopt(client(new HoldingsServer(() => workerOf(router, index))));
        expect(taken.outcome).toBe('whole');
        expect(taken.sequence.last).toBe(41);
        expect(taken.router.heldBlocks(taken.index)).toBe(router.heldBlocks(index));
        for (let i = 0; i < 60; i++) {
          const event = next();
          run(router, index, event);
          run(taken.router, taken.index, event);
          expect(taken.router.heldBlocks(taken.index)).toBe(router.heldBlocks(index));
        }
        taken.router.assertConsistent();
      }),
      { numRuns: 30 },
    );
  });

  it('of many blocks comes in several pieces', async () => {
    const { router, index } = newRouter();
    const random = new Random(7);
    for (let i = 0; i < 400; i++) apply(router, index, stored(random, 256));
    const taken = await adopt(client(new HoldingsServer(() => workerOf(router, index))));
    expect(taken.outcome).toBe('whole');
    expect(taken.router.heldBlocks(taken.index)).toBe(400 * 256);
  });

  it('is refused if the feed there is not whole, lags behind, or knows no such worker', async () => {
    const { router, index } = newRouter();
    const servers = [
      new HoldingsServer(() => workerOf(router, index, 41, false)),
      new HoldingsServer(() => undefined),
      new HoldingsServer(() => workerOf(router, index, 41)),
    ];
    for (const server of servers) {
      const taken = await adopt(client(server), 42);
      expect(taken.outcome).toBe('none');
      expect(taken.sequence.last).toBe(-1);
    }
  });

  it('that breaks off leaves nothing of it', async () => {
    const { router, index } = newRouter();
    const random = new Random(7);
    for (let i = 0; i < 400; i++) apply(router, index, stored(random, 256));
    let asked = 0;
    const taken = await adopt(client(new HoldingsServer(() => workerOf(router, index)), () => ++asked === 4));
    expect(taken.outcome).toBe('lost');
    expect(taken.router.heldBlocks(taken.index)).toBe(0);
    expect(taken.sequence.last).toBe(-1);
  });

  it('is given to a few at a time', async () => {
    const { router, index } = newRouter();
    const server = new HoldingsServer(() => workerOf(router, index));
    const open = writeQuestion({ version: 1, kind: 'open', worker: workerId, seqMin: -1 });
    const answers = await Promise.all(Array.from({ length: copiesMax + 2 }, () => server.answer(open)));
    const kinds = answers.map((bytes) => readAnswer(bytes!)!.answer.kind);
    expect(kinds.filter((kind) => kind === 'opened')).toHaveLength(copiesMax);
    expect(kinds.filter((kind) => kind === 'refused')).toHaveLength(2);
    server.close();
  });
});

describe("strangers' bytes", () => {
  it('are no question, no answer, and never an exception', async () => {
    const { router, index } = newRouter();
    const server = new HoldingsServer(() => workerOf(router, index));
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.json().map((text) => Buffer.from(text)),
        ),
        async (bytes) => {
          expect(readQuestion(bytes)).toBeNull();
          expect(readAnswer(bytes)).toBeNull();
          expect(await server.answer(bytes)).toBeNull();
        },
      ),
      { numRuns: 500 },
    );
    server.close();
  });

  it('changed in any place of an answer end the copy or change blocks, and never throw', async () => {
    const answer = writeAnswer({ kind: 'piece', isLast: false }, words(new Random(1), 64));
    fc.assert(
      fc.property(fc.nat(answer.length - 1), fc.nat(255), fc.nat(answer.length), (at, value, length) => {
        const changed = answer.slice(0, length);
        if (at < changed.length) changed[at] = value;
        const read = readAnswer(changed);
        expect(read === null || read.words.length <= 256).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('that promise fewer blocks than they send, or never end, are given up', async () => {
    const opened = writeAnswer({ kind: 'opened', copy: 'x', seq: 5, blockSize, entries: 10, prints: [] });
    const piece = writeAnswer({ kind: 'piece', isLast: false }, words(new Random(1), 16));
    const liar = new HoldingsClient({
      replicas: () => ['a'],
      isFinding: () => false,
      ask: (_replica, bytes) => Promise.resolve(readQuestion(bytes)!.kind === 'open' ? opened : piece),
    });
    const taken = await adopt(liar);
    expect(taken.outcome).toBe('lost');
    expect(taken.router.heldBlocks(taken.index)).toBe(0);
  });
});

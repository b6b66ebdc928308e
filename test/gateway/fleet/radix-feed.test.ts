// The index compared with an engine whose prefix tree drops leaves: equal after every step, through the wire formats.

import fc from 'fast-check';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { BlockHasher } from '../../../src/core/index.ts';
import { resolveConfig } from '../../../src/gateway/config/config.ts';
import { Engine as GatewayEngine, Worker } from '../../../src/gateway/engines/engine.ts';
import { EventIntake } from '../../../src/gateway/fleet/event-intake.ts';
import { Pool } from '../../../src/gateway/pools/pool.ts';
import { constantStepTime, Engine, type EngineRequest, engineDefaults, seededToken } from '../../../src/sim/index.ts';
import { decodeKvBatch, encodeKvBatch, type KvEventsFormat } from '../../../src/wire/kv-events.ts';
import { sglangPageHash } from '../../../src/worker/sglang-page-hash.ts';
import { FeedEngineTwin } from '../../model/feed-engine-twin.ts';

const url = 'http://127.0.0.1:9';

interface Shape {
  readonly pageSize: number;
  /** Of the index. */
  readonly blockSize: number;
  readonly tokens: number;
  readonly format: KvEventsFormat;
}

/** An engine, the gateway's side of its feed, and a twin that lists what the engine has announced. */
class RadixFeed {
  readonly engine: Engine;
  readonly prompts: Uint32Array[] = [];
  /** Pages of the removals so far, one entry per leaf. */
  readonly removedPages: number[] = [];
  readonly #gatewayEngine = new GatewayEngine({ url });
  readonly #pool = new Pool('m', resolveConfig({ workers: [url] }));
  readonly #index: number;
  readonly #intake: EventIntake;
  readonly #twin: FeedEngineTwin;
  readonly #hasher = new BlockHasher();
  readonly #shape: Shape;

  constructor(shape: Shape) {
    this.#shape = shape;
    this.engine = new Engine({
      ...engineDefaults,
      cache: 'radix',
      blockSize: shape.pageSize,
      blocks: shape.tokens / shape.pageSize + 1,
      // Prompts are computed in chunks.
      stepTokensMax: Math.max(7, 3 * shape.pageSize),
      sequencesMax: 4,
      stepTime: constantStepTime(1),
      blockHash: sglangPageHash,
      sampleToken: seededToken(3),
    });
    const worker = new Worker(
      this.#gatewayEngine,
      0,
      {
        blockSize: shape.blockSize,
        blockSizeFrom: 'setting',
        pageSize: shape.pageSize,
        pageSizeTold: false,
        pageSizeUnfit: null,
        capacityBlocks: shape.tokens / shape.blockSize,
        capacityFrom: 'engine',
        source: 'events',
      },
      { prefixCaching: null, blockSize: null, events: { kind: 'unknown' } },
    );
    this.#index = this.#pool.add(worker);
    worker.membership = { router: this.#pool.router, index: this.#index };
    this.#pool.router.setRoutable(this.#index, true);
    this.#intake = new EventIntake(worker, pino({ level: 'silent' }));
    this.#twin = new FeedEngineTwin(shape.pageSize);
  }

  /** @returns false if there was nothing to do */
  step(): boolean {
    const step = this.engine.step();
    if (step === null) return false;
    for (const event of step.events) {
      this.#twin.apply(event);
      if (event.kind === 'removed') this.removedPages.push(event.hashes.length / 2);
    }
    const batch = decodeKvBatch(encodeKvBatch(1, 0, step.events, this.#shape.format));
    if (batch.kind === 'failed') throw new Error(batch.reason);
    expect(batch.skipped).toEqual({});
    this.#intake.batch({ kind: 'head', timestampS: 1, rank: 0 });
    for (const event of batch.events) this.#intake.event(event);
    return true;
  }

  assertEqual(): void {
    this.engine.assertConsistent();
    const contents = this.engine.cachedContents().map((hash) => hash.join());
    expect(new Set(this.#twin.copies().keys())).toEqual(new Set(contents));
    expect([...this.#twin.copies().values()].every((copies) => copies === 1)).toBe(true);
    const { router } = this.#pool;
    const { blockSize } = this.#shape;
    const held = this.#twin.chains(blockSize);
    expect(router.heldBlocks(this.#index)).toBe(held.size);
    for (const tokens of this.prompts) {
      let blocks = 0;
      while ((blocks + 1) * blockSize <= tokens.length && held.has(tokens.slice(0, (blocks + 1) * blockSize).join())) {
        blocks += 1;
      }
      const hashes = [this.#hasher.hash(tokens, blockSize)];
      const routed = router.route({ prompts: [{ isl: tokens.length, hashes }] }, 0);
      if (routed.kind === 'refused') throw new Error(routed.reason);
      expect(routed.decision.overlapBlocks).toBe(blocks);
      for (const booking of routed.bookings) router.release(booking, 'failed', 0);
    }
    router.assertConsistent();
  }

  async close(): Promise<void> {
    await this.#gatewayEngine.upstream.close();
  }
}

type Action =
  | { readonly kind: 'submit'; readonly prompt: Uint32Array; readonly outputTokensMax: number }
  | { readonly kind: 'step' | 'reset' }
  | { readonly kind: 'abort'; readonly pick: number };

/** Few prompts with few distinct tokens that share, end and continue in all ways; some exceed a step's budget. */
function actions(pageSize: number): fc.Arbitrary<Action[]> {
  const unit = Math.max(2, pageSize / 2);
  const prompt = fc
    .array(fc.nat(2), { minLength: 1, maxLength: 9 })
    .chain((parts) =>
      fc.nat(unit - 1).map((cut) => parts.flatMap((part) => new Array<number>(unit).fill(part)).slice(cut)),
    )
    .map((tokens) => Uint32Array.from(tokens.length === 0 ? [1] : tokens));
  return fc.array(
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('submit' as const),
          prompt,
          outputTokensMax: fc.integer({ min: 1, max: 2 * pageSize + 2 }),
        }),
      },
      { weight: 8, arbitrary: fc.record({ kind: fc.constant('step' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('abort' as const), pick: fc.nat() }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('reset' as const) }) },
    ),
    { maxLength: 50 },
  );
}

describe.each<Shape>([
  { pageSize: 1, blockSize: 1, tokens: 24, format: 'sglang-array' },
  { pageSize: 1, blockSize: 4, tokens: 24, format: 'sglang-map' },
  { pageSize: 16, blockSize: 16, tokens: 192, format: 'sglang-map' },
  { pageSize: 16, blockSize: 32, tokens: 192, format: 'sglang-array' },
])('pages of $pageSize, indexed as blocks of $blockSize, as $format', (shape) => {
  it('equals the engine after every step', async () => {
    const removedPages = new Set<number>();
    await fc.assert(
      fc.asyncProperty(actions(shape.pageSize), async (list) => {
        const feed = new RadixFeed(shape);
        const requests: EngineRequest[] = [];
        try {
          for (const action of list) {
            switch (action.kind) {
              case 'submit': {
                const submission = feed.engine.submit(action);
                if (submission.kind === 'accepted') requests.push(submission.request);
                feed.prompts.push(action.prompt);
                break;
              }
              case 'abort': {
                const request = requests[action.pick % Math.max(1, requests.length)];
                if (request !== undefined) feed.engine.abort(request);
                break;
              }
              case 'reset':
                feed.engine.resetPrefixCache(true);
                break;
              case 'step':
                if (feed.step()) feed.assertEqual();
            }
          }
          while (feed.step()) feed.assertEqual();
          for (const pages of feed.removedPages) removedPages.add(pages);
        } finally {
          await feed.close();
        }
      }),
      { numRuns: 150 },
    );
    // Short and long leaves were removed.
    expect(removedPages.size).toBeGreaterThan(1);
  });
});

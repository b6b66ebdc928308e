// Findings of canaries over time: they end when they are no longer true, or with the next canary.

import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveConfig } from '../../../src/gateway/config/config.ts';
import type { CanaryReport, Cause } from '../../../src/gateway/engines/canary-report.ts';
import { Engine, Worker } from '../../../src/gateway/engines/engine.ts';
import type { WorkerTraits } from '../../../src/gateway/engines/worker-traits.ts';
import type { FeedStatus } from '../../../src/gateway/feeds/feed-status.ts';
import type { KvFeed } from '../../../src/gateway/feeds/kv-feed.ts';
import { CanarySchedule } from '../../../src/gateway/fleet/canary-schedule.ts';
import { Pool } from '../../../src/gateway/pools/pool.ts';
import { announced, hasher } from '../../core/router-harness.ts';
import { eventually } from '../../e2e/harness.ts';
import { soundFeed } from '../sound-feed.ts';

const url = 'http://127.0.0.1:9';
const traits: WorkerTraits = {
  blockSize: 4,
  blockSizeFrom: 'engine',
  pageSize: 4,
  pageSizeTold: true,
  pageSizeUnfit: null,
  capacityBlocks: 1000,
  capacityFrom: 'engine',
  source: 'events',
};
let engine: Engine;
let pool: Pool;
let worker: Worker;
let feed: FeedStatus;
let reports: CanaryReport[];
let said: { readonly msg: string; readonly cause?: string }[];
let schedule: CanarySchedule;

beforeEach(() => {
  engine = new Engine({ url });
  pool = new Pool('m', resolveConfig({ workers: [url] }));
  worker = new Worker(engine, 0, traits, { prefixCaching: null, blockSize: null, events: { kind: 'unknown' } });
  worker.membership = { router: pool.router, index: pool.add(worker) };
  engine.workers = [worker];
  engine.health.joined();
  engine.applyRoutable();
  feed = { ...soundFeed, batches: 0 };
  worker.feed = {
    get status() {
      return feed;
    },
  } as KvFeed;
  reports = [];
  said = [];
  const log = pino(
    { level: 'info' },
    { write: (line: string) => said.push(JSON.parse(line) as (typeof said)[number]) },
  );
  const send = (): Promise<CanaryReport> => Promise.resolve(reports.shift()!);
  schedule = new CanarySchedule(engine, { canary: true, canaryIntervalMs: 600_000 }, send, log);
});
afterEach(() => engine.upstream.close());

const faulty = (...causes: Cause[]): CanaryReport => ({
  timeMs: 0,
  state: 'faulty',
  proofs: [],
  findings: causes.map((cause) => ({ cause, message: cause })),
});

async function found(...causes: Cause[]): Promise<void> {
  reports.push(faulty(...causes));
  schedule.joined();
  await eventually(() => worker.canary !== null);
}

const causes = (): unknown =>
  worker.canary?.state === 'inconclusive' ? null : worker.canary?.findings.map(({ cause }) => cause);

/** Computes a prompt and announces it by an event. */
function match(first: number): void {
  const tokens = Array.from({ length: 8 }, (_, i) => first + i);
  const hashes = pool.router.blockSizes().map((size) => hasher.hash(Uint32Array.from(tokens), size));
  const routed = pool.router.route({ prompts: [{ isl: tokens.length, hashes }], wholeAnswer: true }, first);
  expect(routed.kind).toBe('routed');
  if (routed.kind === 'routed') pool.router.release(routed.bookings[0]!, 'done', first);
  pool.router.applyKvEvent(worker.membership!.index, announced(tokens, 4), first);
}

describe("a canary's finding", () => {
  it.each<[cause: Cause, end: () => void]>([
    ['no-batches', () => (feed = { ...feed, batches: 1 })],
    ['wrong-endpoint', () => (feed = { ...feed, publishers: 1 })],
    ['events-unmatched', () => [100, 200, 300].forEach(match)],
    ['prefix-caching-off', () => (worker.account.tokens.cachedTokens += 64)],
  ])('%s ends when it is no longer true, and the log reports it', async (cause, end) => {
    if (cause === 'wrong-endpoint') feed = { ...feed, publishers: 0 };
    await found(cause);
    schedule.tick(0);
    expect(causes()).toEqual([cause]);
    end();
    schedule.tick(0);
    expect(worker.canary).toMatchObject({ state: 'sound', findings: [] });
    expect(said.at(-1)).toMatchObject({ cause, msg: 'canary finding ended' });
  });

  it('stays when another one ends', async () => {
    await found('no-batches', 'tokenizer');
    feed = { ...feed, batches: 550 };
    schedule.tick(0);
    expect(worker.canary).toMatchObject({ state: 'faulty' });
    expect(causes()).toEqual(['tokenizer']);
  });

  it('is checked by another canary soon, even on a worker that is never idle', async () => {
    await found('tokenizer');
    const leave = engine.enter();
    reports.push({ timeMs: 1, state: 'sound', proofs: ['usage'], findings: [] });
    const startMs = performance.now();
    schedule.tick(startMs + 31_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(causes()).toEqual(['tokenizer']);
    schedule.tick(startMs + 95_000);
    await eventually(() => worker.canary?.state === 'sound');
    leave();
  });
});

it('forgets the report on a worker that has left while its canary was under way', async () => {
  let answer: (report: CanaryReport) => void = () => undefined;
  const send = (): Promise<CanaryReport> =>
    new Promise((resolve) => {
      answer = resolve;
    });
  const options = { canary: true, canaryIntervalMs: 600_000 };
  schedule = new CanarySchedule(engine, options, send, pino({ level: 'silent' }));
  schedule.joined();
  pool.remove(worker.membership!.index);
  engine.workers = [];
  answer(faulty('tokenizer'));
  await new Promise((resolve) => setImmediate(resolve));
  expect(worker.canary).toBeNull();
});

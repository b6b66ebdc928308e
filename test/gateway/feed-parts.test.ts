import { describe, expect, it } from 'vitest';
import { parseEngineSpec } from '../../src/gateway/config/engine-spec.ts';
import { announcedEndpoint, reachable, statedEndpoint } from '../../src/gateway/feeds/feed-address.ts';
import { routingBlockSize } from '../../src/gateway/feeds/feed-block-size.ts';
import type { FeedStatus } from '../../src/gateway/feeds/feed-status.ts';
import { IntakeBudget, turnMsMax } from '../../src/gateway/feeds/intake-budget.ts';
import { approximateTrust, feedTrust, trustKinds } from '../../src/gateway/feeds/worker-trust.ts';
import { soundFeed } from './sound-feed.ts';

describe('addresses of feeds', () => {
  it.each([
    ['tcp://*:5557', 'connect', 'tcp://gpu-1:5557'],
    ['tcp://[::]:5557', 'connect', 'tcp://gpu-1:5557'],
    ['ipc:///tmp/kv', 'connect', 'ipc:///tmp/kv'],
    ['tcp://127.0.0.1:5557', 'bind', 'tcp://127.0.0.1:5557'],
    ['tcp://router.local:5557', 'bind', 'tcp://*:5557'],
  ])('announced as %s: we %s', (announced, mode, endpoint) => {
    expect(announcedEndpoint(announced, 'gpu-1')).toEqual({ mode, endpoint });
  });

  it('leave an address that can be reached as it is', () => {
    expect(reachable('tcp://10.0.0.1:5657', 'gpu-1')).toBe('tcp://10.0.0.1:5657');
    expect(reachable('tcp://0.0.0.0:5657', 'gpu-1')).toBe('tcp://gpu-1:5657');
  });

  it.each([
    ['tcp://gpu-1:5557', 'connect', 'tcp://gpu-1:5557'],
    ['connect:tcp://gpu-1:5557', 'connect', 'tcp://gpu-1:5557'],
    ['bind:tcp://*:5557', 'bind', 'tcp://*:5557'],
  ])('stated as %s: we %s', (stated, mode, endpoint) => {
    expect(statedEndpoint(stated)).toEqual({ mode, endpoint });
    expect(parseEngineSpec(`http://gpu-1:8000,kv-events=${stated}`)).toMatchObject({ spec: { kvEvents: stated } });
  });

  it('are refused in any other form', () => {
    expect(parseEngineSpec('http://gpu-1:8000,kv-events=udp://gpu-1:5557')).toMatchObject({ kind: 'wrong' });
    expect(parseEngineSpec('http://gpu-1:8000,kv-events=listen:tcp://gpu-1:5557')).toMatchObject({ kind: 'wrong' });
  });
});

describe('routingBlockSize', () => {
  it.each([
    [16, null, 16],
    [4, null, 4],
    [1, null, 16],
    [3, null, 18],
    [1, 64, 64],
    [8, 16, 16],
    [8, 20, null],
    [32, 16, null],
  ])('pages of %i, %s set: %s', (pageSize, set, blockSize) => {
    expect(routingBlockSize(pageSize, set)).toBe(blockSize);
  });
});

describe('IntakeBudget', () => {
  it('is spent after its time in a turn, and wakes one feed a turn, first come first served', async () => {
    let nowMs = 0;
    const budget = new IntakeBudget(() => nowMs);
    expect(budget.spent).toBe(false);
    nowMs += turnMsMax;
    expect(budget.spent).toBe(true);
    const order: string[] = [];
    const wait = async (name: string): Promise<void> => {
      await budget.nextTurn();
      order.push(`${name} ${budget.spent}`);
      nowMs += turnMsMax;
    };
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    const waits = [wait('a'), wait('b')];
    await turn();
    expect(order).toEqual(['a false']);
    expect(budget.spent).toBe(true);
    await Promise.all(waits);
    expect(order).toEqual(['a false', 'b false']);
    await turn();
    expect(budget.spent).toBe(false);
  });

  it('lets a few replays go at one time', async () => {
    const budget = new IntakeBudget(() => 0);
    const slots = await Promise.all(Array.from({ length: 8 }, () => budget.replaySlot()));
    let got = false;
    const ninth = budget.replaySlot().then((release) => {
      got = true;
      return release;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(got).toBe(false);
    slots[0]!();
    (await ninth)();
    (await budget.replaySlot())();
  });
});

describe('feedTrust', () => {
  const unhealed = { agreeing: 0, canAgree: true, storedBlocks: 0, capacityBlocks: 100 };
  const healthy = { feed: soundFeed, missedEvents: 0, healing: unhealed, blockSize: 16, pageSizeUnfit: null };

  it('is exact when nothing speaks against it', () => {
    expect(feedTrust(healthy)).toEqual({ kind: 'exact', reason: null, detail: null });
    expect(feedTrust({ ...healthy, missedEvents: 2 }).kind).toBe('exact');
  });

  it.each<[kind: string, reason: string, feed: Partial<FeedStatus>]>([
    ['catching-up', 'connecting', { publishers: 0 }],
    ['degraded', 'no-connection', { publishers: 0, openMs: 60_000 }],
    ['degraded', 'no-connection', { publishers: 0, disconnects: 1 }],
    ['degraded', 'endpoint', { publishers: 0, error: 'Address already in use' }],
    ['degraded', 'shared-endpoint', { publishers: 2 }],
    ['catching-up', 'replaying', { replaying: true, loss: { kind: 'lost-batches', batches: 1 } }],
    ['degraded', 'late-join', { loss: { kind: 'late-join', batches: 3 } }],
    ['degraded', 'lost-batches', { loss: { kind: 'lost-batches', batches: 3 } }],
    ['degraded', 'orphans', { loss: { kind: 'orphans', batches: 0 } }],
    ['catching-up', 'unproven', { proven: false }],
  ])('is %s: %s', (kind, reason, feed) => {
    expect(feedTrust({ ...healthy, feed: { ...soundFeed, ...feed } })).toMatchObject({ kind, reason });
    expect(trustKinds).toContain(kind);
  });

  it('is degraded by prompts that no event tells of, and by block sizes that do not fit', () => {
    expect(feedTrust({ ...healthy, missedEvents: 3 })).toMatchObject({ kind: 'degraded', reason: 'unmatched' });
    const silent = { ...healthy, missedEvents: 3, feed: { ...soundFeed, batches: 0 } };
    expect(feedTrust(silent)).toMatchObject({ kind: 'degraded', reason: 'silent' });
    expect(feedTrust({ ...healthy, pageSizeUnfit: 12 })).toMatchObject({ kind: 'degraded', reason: 'block-size' });
  });

  it('is approximate without events, or without a way to match them', () => {
    expect(approximateTrust(false)).toMatchObject({ kind: 'approximate', reason: 'no-events' });
    expect(approximateTrust(true)).toMatchObject({ kind: 'approximate', reason: 'no-tokenizer' });
  });
});

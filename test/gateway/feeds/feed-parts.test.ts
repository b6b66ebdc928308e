import { describe, expect, it } from 'vitest';
import { parseEngineSpec } from '../../../src/gateway/config/engine-spec.ts';
import { announcedEndpoint, reachable, statedEndpoint } from '../../../src/gateway/feeds/feed-address.ts';
import { routingBlockSize } from '../../../src/gateway/feeds/feed-block-size.ts';
import type { FeedStatus } from '../../../src/gateway/feeds/feed-status.ts';
import { FeedWatch } from '../../../src/gateway/feeds/feed-watch.ts';
import { IntakeBudget, turnMsMax } from '../../../src/gateway/feeds/intake-budget.ts';
import { LogRate, logLineMsMin } from '../../../src/gateway/feeds/log-rate.ts';
import { readSocketPlace } from '../../../src/gateway/feeds/socket-place.ts';
import { WaitingBytes } from '../../../src/gateway/feeds/waiting-bytes.ts';
import { approximateTrust, feedTrust } from '../../../src/gateway/feeds/worker-trust.ts';
import { soundFeed } from '../sound-feed.ts';

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

  it('leave a reachable address unchanged', () => {
    expect(reachable('tcp://10.0.0.1:5657', 'gpu-1')).toBe('tcp://10.0.0.1:5657');
    expect(reachable('tcp://0.0.0.0:5657', 'gpu-1')).toBe('tcp://gpu-1:5657');
  });

  it.each([
    ['tcp://gpu-1:5557', 'connect', 'tcp://gpu-1:5557'],
    ['connect:tcp://gpu-1:5557', 'connect', 'tcp://gpu-1:5557'],
    ['bind:tcp://*:5557', 'bind', 'tcp://*:5557'],
  ])('configured as %s: we %s', (stated, mode, endpoint) => {
    expect(statedEndpoint(stated)).toEqual({ mode, endpoint });
    expect(parseEngineSpec(`http://gpu-1:8000,kv-events=${stated}`)).toMatchObject({ spec: { kvEvents: stated } });
  });

  it.each([
    ['kv-events=tcp://*:5557', 'write bind:tcp://\\*:5557 if the engine connects'],
    ['kv-events=tcp://0.0.0.0:5557', "tcp://HOST:5557 with the engine's host"],
    ['kv-events=tcp://[::]:5557', 'is a wildcard and can'],
    ['kv-events=tcp://gpu-1:0', 'a port that is not from 1 to 65535'],
    ['kv-events=tcp://gpu-1:70000', 'a port that is not from 1 to 65535'],
    ['kv-events=tcp://gpu 1:5557', 'neither an address nor a name'],
    ['kv-events=tcp://1.2.3:5557', 'neither an address nor a name'],
    ['kv-events=tcp://[gpu-1]:5557', 'neither an address nor a name'],
    ['kv-events=tcp://eth0;gpu-1:5557', 'neither an address nor a name'],
    ['kv-events=inproc://kv', 'is not of the form'],
    [`kv-events=ipc:///${'x'.repeat(200)}`, 'is no path of 1 to 107 bytes'],
    ['kv-replay=bind:tcp://gpu-1:5657', 'the engine binds its replay address itself'],
    ['kv-replay=tcp://*:5657', 'write tcp://HOST:5657'],
    ['kv-replay=nonsense', 'is not of the form'],
  ])("are refused with a correction if they can't be opened: %s", (setting, message) => {
    const result = parseEngineSpec(`http://gpu-1:8000,${setting}`);
    expect(result.kind === 'wrong' && result.message).toMatch(new RegExp(message));
    expect(readSocketPlace('tcp://[::1]:5557')).toEqual({ kind: 'tcp', host: '::1', port: 5557 });
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
  it('is spent after its time in a turn, and resumes one feed per turn, first come first served', async () => {
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

  it('allows a few concurrent replays', async () => {
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

describe('FeedWatch', () => {
  it('gives a feed up once after its time without a publisher, and again after the next connection', () => {
    const watch = new FeedWatch(100, 0);
    expect([50, 99, 100, 150].map((nowMs) => watch.absent(nowMs))).toEqual([false, false, true, false]);
    expect(watch.isDead).toBe(true);
    expect(watch.connected()).toBe(true);
    expect(watch.connected()).toBe(false);
    expect([200, 299, 300].map((nowMs) => watch.absent(nowMs))).toEqual([false, false, true]);
  });

  it('asks a quiet feed for lost last batches at growing intervals, reset by each batch', () => {
    const watch = new FeedWatch(100, 0);
    const dueAt = (batches: number, fromMs: number): number[] => {
      const due: number[] = [];
      for (let nowMs = fromMs; nowMs < fromMs + 100_000; nowMs += 1000) {
        if (watch.isTailDue(batches, nowMs)) due.push(nowMs - fromMs);
      }
      return due;
    };
    const quiet = [2000, 6000, 14_000, 30_000, 60_000, 90_000];
    expect(dueAt(1, 0)).toEqual(quiet);
    expect(dueAt(2, 200_000)).toEqual(quiet);
  });

  it('finds a connection stalled if batches arrive only by replay twice in a row', () => {
    const watch = new FeedWatch(100, 0);
    expect(watch.isStalled()).toBe(false);
    watch.heard();
    expect(watch.isStalled()).toBe(false);
    expect(watch.isStalled()).toBe(true);
    expect(watch.isStalled()).toBe(false);
  });
});

describe('LogRate', () => {
  it('admits one line per interval, with the number of suppressed ones', () => {
    let nowMs = 0;
    const rate = new LogRate(() => nowMs);
    expect([rate.admit(), rate.admit(), rate.admit()]).toEqual([0, null, null]);
    nowMs = logLineMsMin;
    expect([rate.admit(), rate.admit()]).toEqual([2, null]);
  });
});

describe('WaitingBytes', () => {
  it('resumes waiting connections once when there is room, and not those that have left', () => {
    const waiting = new WaitingBytes(100);
    const woken: string[] = [];
    const [a, b] = [() => woken.push('a'), () => woken.push('b')];
    waiting.change(100);
    expect(waiting.isFull).toBe(true);
    waiting.whenRoom(a);
    waiting.whenRoom(b);
    waiting.forget(b);
    waiting.change(-1);
    waiting.change(-1);
    expect(woken).toEqual(['a']);
  });
});

describe('feedTrust', () => {
  const unhealed = { agreeing: 0, canAgree: true, storedBlocks: 0, capacityBlocks: 100 };
  const healthy = { feed: soundFeed, missedEvents: 0, healing: unhealed, blockSize: 16, pageSizeUnfit: null };

  it('is exact if there is no cause for doubt', () => {
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
  });

  it.each([
    ['without predictions', { agreeing: 0 }, false],
    ['with one prediction less than are needed', { agreeing: 31 }, false],
    ['with predictions that agree', { agreeing: 32 }, true],
    ['with a cache filled anew, while predictions go wrong', { agreeing: 7, storedBlocks: 100 }, false],
    ['with a cache filled anew, and predictions that agree', { agreeing: 8, storedBlocks: 100 }, true],
    ['with a cache filled anew, where answers tell nothing', { canAgree: false, storedBlocks: 100 }, true],
    ['with a cache of which the size is a guess', { canAgree: false, storedBlocks: 1e9, capacityBlocks: null }, false],
  ])('heals from a late join %s: %o is %s', (_, healing, isHealed) => {
    const loss = { kind: 'late-join', batches: 3 } as const;
    const facts = { ...healthy, feed: { ...soundFeed, loss }, healing: { ...unhealed, ...healing } };
    expect(feedTrust(facts).kind).toBe(isHealed ? 'exact' : 'degraded');
    const overfull = { ...soundFeed, loss: { kind: 'overfull', batches: 0 } as const };
    const byPredictions = facts.healing.agreeing >= 32;
    expect(feedTrust({ ...facts, feed: overfull }).kind).toBe(byPredictions ? 'exact' : 'degraded');
  });

  it('is approximate while the feed is given up', () => {
    const feed = { ...soundFeed, publishers: 0, isDead: true, failure: 'ECONNREFUSED' };
    const trust = feedTrust({ ...healthy, feed });
    expect(trust).toMatchObject({ kind: 'approximate', reason: 'dead-feed' });
    expect(trust.detail).toContain('ECONNREFUSED');
  });

  it('is degraded by prompts that no event announces, and by block sizes that do not fit', () => {
    expect(feedTrust({ ...healthy, missedEvents: 3 })).toMatchObject({ kind: 'degraded', reason: 'unmatched' });
    const silent = { ...healthy, missedEvents: 3, feed: { ...soundFeed, batches: 0 } };
    expect(feedTrust(silent)).toMatchObject({ kind: 'degraded', reason: 'no-batches' });
    expect(feedTrust({ ...healthy, pageSizeUnfit: 12 })).toMatchObject({ kind: 'degraded', reason: 'block-size' });
  });

  it('is approximate without events, or without token ids to match them', () => {
    expect(approximateTrust(false)).toMatchObject({ kind: 'approximate', reason: 'no-events' });
    expect(approximateTrust(true)).toMatchObject({ kind: 'approximate', reason: 'no-tokenizer' });
  });
});

// The page's figures over real HTTP: they equal those of /loads, /decisions and /metrics, and the stream carries them.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import type {
  DecisionInFull,
  DecisionList,
  History,
  PrefixMap,
  Snapshot,
  Truth,
  WhatIf,
} from '../../src/gateway/page/page-data.ts';
import { type FakeEngine, type FakeRequest, openStream, sendToken, streamTokens } from './fake-engine.ts';
import { chatBody, eventually, getJson, Harness, loads, post } from './harness.ts';
import { PageStream } from './page-stream.ts';

let harness: Harness;
let streams: PageStream[];
beforeEach(() => {
  harness = new Harness();
  streams = [];
});
afterEach(async () => {
  for (const stream of streams) stream.close();
  await harness.end();
});

const get = async <T>(gateway: Gateway, path: string): Promise<T> => (await getJson(gateway, path)) as T;

async function watch(gateway: Gateway): Promise<PageStream> {
  const stream = await PageStream.open(`${gateway.adminUrl}/page/stream`);
  streams.push(stream);
  return stream;
}

/** Holds the answers of an engine until they are let go. */
function held(engine: FakeEngine): { readonly requests: FakeRequest[]; release(): void } {
  const requests: FakeRequest[] = [];
  engine.behaviour = (request) => requests.push(request);
  return {
    requests,
    release: () => {
      for (const request of requests.splice(0)) streamTokens(request, 3);
    },
  };
}

describe('the snapshot', () => {
  it('shows the same load as /loads while requests are in flight', async () => {
    const engines = await harness.engines(2);
    const gates = engines.map(held);
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url) });
    const answers = Array.from({ length: 5 }, () =>
      post(gateway, '/v1/chat/completions', { ...chatBody, stream: true }),
    );
    await eventually(() => gates.reduce((sum, { requests }) => sum + requests.length, 0) === 5);
    const snapshot = await get<Snapshot>(gateway, '/page/snapshot');
    const { workers } = await loads(gateway);
    expect(workers).toHaveLength(2);
    for (const load of workers) {
      const shown = snapshot.workers.find(({ id }) => id === load.id)!;
      expect(shown.load).toMatchObject({
        activeBlocks: load.activeBlocks,
        activePrefillTokens: load.activePrefillTokens,
        runningRequests: load.runningRequests,
        heldBlocks: load.heldBlocks,
      });
      expect(shown.load!.promptBlocks + shown.load!.outputBlocks).toBe(load.activeBlocks);
    }
    expect(snapshot.fleet).toMatchObject({ workers: 2, ready: 2, runningRequests: 5 });
    expect(snapshot.fleet.activeBlocks).toBe(workers.reduce((sum, { activeBlocks }) => sum + activeBlocks, 0));
    const most = Math.max(...workers.map(({ activeBlocks }) => activeBlocks));
    const busiest = workers.find(({ id }) => id === snapshot.fleet.busiest!.worker)!;
    expect(busiest.activeBlocks).toBe(most);
    expect(snapshot.fleet.busiest!.why).toMatch(/requests?, .* for prompts/);
    for (const gate of gates) gate.release();
    await Promise.all(answers);
  });

  it('names an engine that can not be reached, with advice', async () => {
    const engine = await harness.engine();
    const gone = await harness.engine();
    const url = gone.url;
    await gone.close();
    const gateway = await harness.gateway({ workers: [engine.url, url] }, 1);
    await eventually(async () => {
      const { workers } = await get<Snapshot>(gateway, '/page/snapshot');
      return workers.find((worker) => worker.url === url)!.findings.length > 0;
    });
    const { workers, fleet } = await get<Snapshot>(gateway, '/page/snapshot');
    const shown = workers.find((worker) => worker.url === url)!;
    expect(shown).toMatchObject({ id: url, load: null, trust: { kind: 'unknown' } });
    expect(shown.findings[0]).toMatchObject({ source: 'health' });
    expect(shown.findings[0]!.message).toContain(url);
    expect(fleet).toMatchObject({ workers: 2, ready: 1 });
  });

  it('says that a worker drains, as soon as it is told to', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    const drain = `${gateway.adminUrl}/workers/${encodeURIComponent(`${engine.url}#0`)}/drain`;
    expect((await fetch(drain, { method: 'POST' })).status).toBe(200);
    const drained = await get<Snapshot>(gateway, '/page/snapshot');
    expect(drained.workers[0]).toMatchObject({ draining: true, drained: true });
    expect(drained.fleet.ready).toBe(0);
    expect((await fetch(drain, { method: 'DELETE' })).status).toBe(200);
    expect((await get<Snapshot>(gateway, '/page/snapshot')).workers[0]).toMatchObject({ draining: false });
  });
});

describe('decisions', () => {
  it('that were in flight when a page fetched them are told to it when they end', async () => {
    const engine = await harness.engine();
    const gate = held(engine);
    const gateway = await harness.gateway({ workers: [engine.url] });
    const answer = post(gateway, '/v1/chat/completions', { ...chatBody, stream: true });
    await eventually(() => gate.requests.length === 1);
    const stream = await watch(gateway);
    const [listed] = (await get<DecisionList>(gateway, '/page/decisions')).decisions;
    expect(listed!.outcome).toBeNull();
    gate.release();
    await answer;
    await stream.until('decisions', ({ decisions }) =>
      decisions.some(({ seq, outcome }) => seq === listed!.seq && outcome === 'done'),
    );
  });

  it('are listed as /decisions lists them, and one is shown in full with its reason', async () => {
    const engines = await harness.engines(2);
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url) });
    for (let i = 0; i < 4; i++)
      await post(gateway, '/v1/completions', { model: 'fake', prompt: `p ${i}`, stream: true });
    const { decisions, kept } = await get<DecisionList>(gateway, '/page/decisions');
    const log = (await get<{ decisions: { requestId: string; worker: string }[] }>(gateway, '/decisions')).decisions;
    expect(kept).toBe(4);
    expect(decisions.map(({ requestId, worker }) => ({ requestId, worker }))).toEqual(
      log.map(({ requestId, worker }) => ({ requestId, worker })),
    );
    expect(decisions.map(({ seq }) => seq)).toEqual([4, 3, 2, 1]);
    const [first] = decisions;
    const [full] = await get<DecisionInFull[]>(gateway, `/page/decisions/${first!.requestId}`);
    expect(full).toMatchObject({ ...first, policy: 'foresee', outcome: 'done', pool: 'fake' });
    expect(full!.all.filter(({ chosen }) => chosen).map(({ worker }) => worker)).toEqual([first!.worker]);
    expect(full!.all).toHaveLength(2);
    expect(full!.why).toMatch(/candidates/);
    const filtered = await get<DecisionList>(
      gateway,
      `/page/decisions?worker=${encodeURIComponent(first!.worker)}&limit=1`,
    );
    expect(filtered.decisions.map(({ worker }) => worker)).toEqual([first!.worker]);
    expect((await get<DecisionList>(gateway, '/page/decisions?retry=1')).decisions).toEqual([]);
    expect((await fetch(`${gateway.adminUrl}/page/decisions/unknown`)).status).toBe(404);
    expect((await fetch(`${gateway.adminUrl}/page/decisions?limit=0`)).status).toBe(400);
  });

  it('show a retry as two attempts', async () => {
    const engines = await harness.engines(2);
    // Every time: a connection that was used before is replaced once without counting as an attempt.
    let failing: (typeof engines)[number] | null = null;
    for (const engine of engines) {
      engine.behaviour = (request) => {
        failing ??= engine;
        if (failing === engine) request.socket.resetAndDestroy();
        else streamTokens(request, 2);
      };
    }
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url) }, 2);
    await post(gateway, '/v1/completions', { model: 'fake', prompt: 'x', stream: true }, { 'x-request-id': 'retried' });
    const attempts = await get<DecisionInFull[]>(gateway, '/page/decisions/retried');
    expect(attempts.map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
      [1, 'failed'],
      [2, 'done'],
    ]);
    const retried = await get<DecisionList>(gateway, '/page/decisions?retry=1');
    expect(retried.decisions.map(({ attempt }) => attempt)).toEqual([2]);
  });
});

describe('truth', () => {
  it('has the totals of /metrics', async () => {
    const engine = await harness.engine();
    const usage = { prompt_tokens: 40, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 16 } };
    engine.behaviour = (request) => {
      openStream(request);
      sendToken(request, 'a');
      sendToken(request, 'b');
      const last = { id: 'x', object: 'text_completion', model: 'fake', choices: [], usage };
      request.response.end(`data: ${JSON.stringify(last)}\n\ndata: [DONE]\n\n`);
    };
    const gateway = await harness.gateway({ workers: [engine.url] });
    for (let i = 0; i < 3; i++) await post(gateway, '/v1/completions', { model: 'fake', prompt: 'x', stream: true });
    const { totals, verdict, workers } = await get<Truth>(gateway, '/page/truth');
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    const metric = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1]);
    expect(totals.requests).toBe(3);
    expect(totals.cachedTokens).toBe(metric('kvoyant_actual_cached_tokens_total'));
    expect(totals.predictedCachedTokens).toBe(metric('kvoyant_predicted_cached_tokens_total'));
    expect(totals.promptTokens).toBe(metric('kvoyant_prompt_tokens_total'));
    expect(workers.map(({ trust }) => trust.kind)).toEqual(['approximate']);
    expect(verdict).toMatchObject({ level: 'warning', approximate: 1 });
  });
});

describe('the stream', () => {
  it('begins with the state, then carries decisions until they have ended', async () => {
    const engine = await harness.engine();
    const gate = held(engine);
    const gateway = await harness.gateway({ workers: [engine.url] });
    const stream = await watch(gateway);
    expect((await stream.next('snapshot')).fleet.workers).toBe(1);
    expect((await stream.next('what-if')).kind).toBe('off');
    const answer = post(
      gateway,
      '/v1/completions',
      { model: 'fake', prompt: 'x', stream: true },
      { 'x-request-id': 'one' },
    );
    const batch = await stream.next('decisions');
    expect(batch).toMatchObject({ leftOut: 0, decisions: [{ requestId: 'one', outcome: null }] });
    expect((await stream.next('snapshot')).fleet.runningRequests).toBe(1);
    gate.release();
    await answer;
    await stream.until('decisions', ({ decisions }) => decisions.some(({ outcome }) => outcome === 'done'));
  });

  it('shows or counts every decision of a burst', async () => {
    const engines = await harness.engines(2);
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url) });
    const stream = await watch(gateway);
    await stream.next('snapshot');
    await Promise.all(
      Array.from({ length: 60 }, () => post(gateway, '/v1/completions', { model: 'fake', prompt: 'x', stream: true })),
    );
    // One that was left out may come later all the same, if its end is remarkable.
    const shown = new Set<number>();
    let leftOut = 0;
    await stream.until('decisions', (batch) => {
      for (const { seq } of batch.decisions) shown.add(seq);
      leftOut += batch.leftOut;
      return shown.size + leftOut >= 60;
    });
    expect(leftOut).toBeLessThan(60);
  });

  it('is refused beyond pageViewersMax, and free again when a page has gone', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], pageViewersMax: 2 });
    const first = await watch(gateway);
    await watch(gateway);
    const refused = await fetch(`${gateway.adminUrl}/page/stream`);
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ error: { code: 'too_many_viewers' } });
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    expect(metrics).toContain('kvoyant_limited_total{limit="pageViewersMax"} 1');
    first.close();
    await eventually(async () => (await get<Snapshot>(gateway, '/page/snapshot')).router.viewers === 1);
    await (await watch(gateway)).next('snapshot');
  });

  it('ends with a farewell when the gateway stops', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    const stream = await watch(gateway);
    const closed = gateway.close();
    expect(await stream.next('bye')).toMatchObject({ reason: 'stopping' });
    await closed;
  });
});

describe('history', () => {
  it('counts requests of the fleet and of each worker', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    const stream = await watch(gateway);
    await stream.next('snapshot');
    for (let i = 0; i < 3; i++) await post(gateway, '/v1/completions', { model: 'fake', prompt: 'x', stream: true });
    await stream.next('snapshot');
    await stream.next('snapshot');
    const sum = ({ series }: History): number => series.requestsPerS.reduce<number>((all, one) => all + (one ?? 0), 0);
    const fleet = await get<History>(gateway, '/page/history');
    expect(sum(fleet)).toBe(3);
    expect(fleet.stepMs).toBe(1000);
    expect(fleet.series.ttftP50Ms.some((value) => value !== null && value > 0)).toBe(true);
    const worker = await get<History>(gateway, `/page/history?worker=${encodeURIComponent(`${engine.url}#0`)}`);
    expect(sum(worker)).toBe(3);
    expect(worker.series.imbalance.every((value) => value === null)).toBe(true);
    expect((await fetch(`${gateway.adminUrl}/page/history?worker=nobody`)).status).toBe(404);
    expect((await fetch(`${gateway.adminUrl}/page/history?span=day`)).status).toBe(400);
  });
});

describe('the prefix map', () => {
  it('shows a prefix that requests share by its longest form, and no text', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], tokenizer: 'builtin', trustTokenizer: true });
    const shared = 'You are a helpful assistant of a shop that sells bicycles. '.repeat(20);
    for (let i = 0; i < 4; i++) {
      await post(gateway, '/v1/completions', { model: 'fake', prompt: `${shared} Customer ${i} asks.`, stream: true });
    }
    const map = await get<PrefixMap>(gateway, '/page/prefixes');
    expect(map.prefixes.length).toBeGreaterThan(0);
    const [hottest] = map.prefixes;
    expect(hottest).toMatchObject({ requests: 4, pool: 'fake', model: 'fake', poolWorkers: 1 });
    expect(hottest!.tokens).toBeGreaterThanOrEqual(128);
    expect(hottest!.savedTokens).toBe(3 * hottest!.tokens);
    expect(JSON.stringify(map)).not.toContain('bicycles');
  });
});

describe('what if', () => {
  it('says how to start a recording when none is on', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] }, 1, ['fake'], {
      whatIf: { run: () => Promise.reject(new Error('not reached')), policies: ['kv'] },
    });
    expect(await get<WhatIf>(gateway, '/page/what-if')).toMatchObject({
      kind: 'off',
      howTo: expect.stringContaining('--record'),
    });
  });
});

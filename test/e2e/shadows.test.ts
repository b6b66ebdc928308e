// Shadows: copies of requests at another pool, booked there, compared in figures, and never felt by the real request.

import { request as httpRequest } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import {
  endStream,
  type FakeEngine,
  openStream,
  replyJson,
  replyWhole,
  sendToken,
  streamTokens,
} from './fake-engine.ts';
import { type Answer, atRest, eventually, getJson, Harness, loads, post } from './harness.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
});

async function started(options: GatewayOptions = {}, share = 1) {
  const real = await harness.engine({ models: ['llama'] });
  const shadow = await harness.engine({ models: ['llama-next'] });
  const gateway = await harness.gateway(
    {
      workers: [real.url, { url: shadow.url, pool: 'next' }],
      pools: ['next'],
      models: [{ name: 'llama', model: 'llama', shadow: { pool: 'next', share } }],
      ...options,
    },
    undefined,
    ['llama', 'llama-next'],
  );
  return { real, shadow, gateway };
}

const ask = (gateway: Gateway, more: object = {}, headers: Record<string, string> = {}): Promise<Answer> =>
  post(
    gateway,
    '/v1/chat/completions',
    { model: 'llama', messages: [{ role: 'user', content: 'hi' }], stream: true, ...more },
    headers,
  );

async function counted(gateway: Gateway, name: string): Promise<number> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.slice(name.length + 1));
}

const outcomes = (gateway: Gateway, outcome: string, pool = 'next'): Promise<number> =>
  counted(gateway, `kvoyant_shadow_requests_total{name="llama",pool="${pool}",outcome="${outcome}"}`);

async function running(gateway: Gateway, engine: FakeEngine): Promise<number> {
  const { workers } = await loads(gateway);
  return workers.find(({ id }) => id === `${engine.url}#0`)!.runningRequests;
}

describe('a shadow', () => {
  it('gets the same request under its own name and id, and both are compared', async () => {
    const { real, shadow, gateway } = await started();
    shadow.behaviour = (request) => streamTokens(request, 5);
    const id = 'request-1';
    const answer = await ask(gateway, { seed: 1 }, { 'x-request-id': id });
    expect([answer.status, answer.body.match(/"content":"t\d"/g)]).toMatchObject([200, { length: 3 }]);
    expect(answer.headers['x-kvoyant-pool']).toBe('llama');
    await eventually(async () => (await outcomes(gateway, 'done')) === 1);
    const [sent, copied] = [real.requests[0]!, shadow.requests[0]!];
    expect(copied.body).toBe(sent.body.replace('"llama"', '"llama-next"'));
    expect([sent.headers['x-request-id'], sent.headers['x-kvoyant-shadow']]).toEqual([id, undefined]);
    expect([copied.headers['x-request-id'], copied.headers['x-kvoyant-shadow']]).toEqual([`${id}-shadow`, 'true']);
    const { decisions } = (await getJson(gateway, `/decisions/${id}`)) as { decisions: object[] };
    expect(decisions).toMatchObject([
      { shadow: true, pool: 'next', model: 'llama-next', outputTokens: 5, status: 200, outcome: 'done' },
      { shadow: false, pool: 'llama', model: 'llama', outputTokens: 3, status: 200, outcome: 'done' },
    ]);
    const of = (side: string, kind: string): Promise<number> =>
      counted(gateway, `kvoyant_shadow_tokens_total{name="llama",pool="next",side="${side}",kind="${kind}"}`);
    expect([await of('real', 'output'), await of('shadow', 'output'), await of('shadow', 'prompt')]).toEqual([
      3, 5, 10,
    ]);
    const pairs = 'kvoyant_shadow_statuses_total{name="llama",pool="next",real="200",shadow="200"}';
    expect(await counted(gateway, pairs)).toBe(1);
    for (const figure of ['time_to_first_token', 'duration']) {
      for (const side of ['real', 'shadow']) {
        const name = `kvoyant_shadow_${figure}_seconds_count{name="llama",pool="next",side="${side}"}`;
        expect(await counted(gateway, name)).toBe(1);
      }
    }
    // Clients' own figures do not include copies.
    expect(await counted(gateway, 'kvoyant_output_tokens_total')).toBe(3);
    expect(await counted(gateway, 'kvoyant_time_to_first_token_seconds_count')).toBe(1);
    const { workers } = (await getJson(gateway, '/workers')) as { workers: { routes: object[] }[] };
    expect(workers.flatMap(({ routes }) => routes)).toContainEqual({
      asked: 'llama',
      model: 'llama-next',
      way: 'shadow',
    });
    await atRest(gateway);
  });

  it('is copied of answers in one piece, too', async () => {
    const { real, shadow, gateway } = await started();
    for (const engine of [real, shadow]) engine.behaviour = (request) => replyWhole(request, 'hello');
    expect((await ask(gateway, { stream: false })).status).toBe(200);
    await eventually(async () => (await outcomes(gateway, 'done')) === 1);
    expect(
      await counted(gateway, 'kvoyant_shadow_tokens_total{name="llama",pool="next",side="shadow",kind="output"}'),
    ).toBe(2);
    await atRest(gateway);
  });

  it('is booked in the ledger of its pool while it runs, and the real request does not wait for it', async () => {
    const { shadow, gateway } = await started();
    shadow.behaviour = (request) => {
      openStream(request);
      sendToken(request, 'a');
    };
    expect((await ask(gateway)).status).toBe(200);
    await eventually(async () => (await running(gateway, shadow)) === 1);
    expect(await counted(gateway, 'kvoyant_shadows')).toBe(1);
    expect(await counted(gateway, 'kvoyant_shadow_bytes')).toBeGreaterThan(0);
    endStream(shadow.requests[0]!, 10, 1);
    await eventually(async () => (await outcomes(gateway, 'done')) === 1);
    await atRest(gateway);
    expect([await counted(gateway, 'kvoyant_shadows'), await counted(gateway, 'kvoyant_shadow_bytes')]).toEqual([0, 0]);
  });

  it('that fails in any way is no matter of the real request', async () => {
    const { shadow, gateway } = await started();
    const ways: readonly FakeEngine['behaviour'][] = [
      ({ response }) => replyJson(response, 500, {}),
      ({ socket }) => socket.resetAndDestroy(),
      ({ response }) => response.end('no JSON'),
      (request) => {
        openStream(request);
        request.response.end('data: {"choices":');
      },
      (request) => {
        openStream(request);
        sendToken(request, 'a');
        request.socket.resetAndDestroy();
      },
    ];
    for (const behaviour of ways) {
      shadow.behaviour = behaviour;
      expect((await ask(gateway)).status).toBe(200);
      await eventually(async () => (await counted(gateway, 'kvoyant_shadows')) === 0);
    }
    expect((await outcomes(gateway, 'failed')) + (await outcomes(gateway, 'done'))).toBe(ways.length);
    expect(await outcomes(gateway, 'failed')).toBeGreaterThanOrEqual(4);
    await shadow.close();
    expect((await ask(gateway)).status).toBe(200);
    await eventually(async () => {
      expect((await ask(gateway)).status).toBe(200);
      return (await outcomes(gateway, 'unplaced')) > 0;
    });
    await atRest(gateway);
  });

  it('is not made beyond the limits in number and bytes', async () => {
    const { shadow, gateway } = await started({ shadowsMax: 2, shadowBytesMax: 20_000 });
    const release: (() => void)[] = [];
    shadow.behaviour = (request) => release.push(() => streamTokens(request, 1));
    for (let i = 0; i < 4; i++) expect((await ask(gateway)).status).toBe(200);
    await eventually(() => release.length === 2);
    expect(await counted(gateway, 'kvoyant_limited_total{limit="shadowsMax"}')).toBe(2);
    for (const end of release) end();
    await eventually(async () => (await outcomes(gateway, 'done')) === 2);
    const large = { messages: [{ role: 'user', content: 'x'.repeat(15_000) }] };
    expect((await ask(gateway, large)).status).toBe(200);
    expect(await counted(gateway, 'kvoyant_limited_total{limit="shadowBytesMax"}')).toBe(1);
    expect(await outcomes(gateway, 'dropped')).toBe(3);
    expect(shadow.requests).toHaveLength(2);
    await atRest(gateway);
  });

  it('ends with the client of the real request', async () => {
    const { real, shadow, gateway } = await started();
    for (const engine of [real, shadow]) {
      engine.behaviour = (request) => {
        openStream(request);
        sendToken(request, 'a');
      };
    }
    const headers = { 'content-type': 'application/json' };
    const request = httpRequest(`${gateway.url}/v1/chat/completions`, { method: 'POST', headers, agent: false });
    request.on('error', () => undefined);
    request.end(JSON.stringify({ model: 'llama', messages: [{ role: 'user', content: 'hi' }], stream: true }));
    await eventually(() => real.requests.length === 1 && shadow.requests.length === 1);
    await eventually(async () => (await running(gateway, shadow)) === 1);
    request.destroy();
    await eventually(() => real.aborted === 1 && shadow.aborted === 1);
    await eventually(async () => (await outcomes(gateway, 'aborted')) === 1);
    expect(await counted(gateway, 'kvoyant_shadow_bytes')).toBe(0);
    await atRest(gateway);
  });

  it('ends when the gateway stops, which does not wait for it', async () => {
    const { shadow, gateway } = await started({ shutdownGraceMs: 20_000 });
    shadow.behaviour = openStream;
    expect((await ask(gateway)).status).toBe(200);
    await eventually(() => shadow.requests.length === 1);
    const sinceMs = performance.now();
    expect(await gateway.close()).toEqual({ brokenOffAnswers: 0 });
    expect(performance.now() - sinceMs).toBeLessThan(15_000);
    await eventually(() => shadow.aborted === 1);
  });

  it('is made of a share of the sessions, always the same ones', async () => {
    const { real, shadow, gateway } = await started({}, 0.4);
    const copied = new Map<string, number>();
    for (let i = 0; i < 40; i++) {
      const session = `s${i % 20}`;
      const before = shadow.requests.length;
      await ask(gateway, {}, { 'x-kvoyant-session': session });
      await eventually(async () => (await counted(gateway, 'kvoyant_shadows')) === 0);
      copied.set(session, (copied.get(session) ?? 0) + shadow.requests.length - before);
    }
    expect(real.requests).toHaveLength(40);
    const counts = [...copied.values()];
    expect(counts.every((count) => count === 0 || count === 2)).toBe(true);
    // The sessions' names are fixed, so this is the same in every run.
    expect(counts.filter((count) => count === 2).length).toBeGreaterThan(3);
    expect(counts.filter((count) => count === 2).length).toBeLessThan(14);
    await atRest(gateway);
  });

  it('is tokenized by its own pool, if that has another tokenizer', async () => {
    const { gateway } = await started({
      pools: [{ name: 'next', tokenizer: 'builtin', trustTokenizer: true }],
      tokenizer: 'none',
    });
    expect((await ask(gateway)).status).toBe(200);
    await eventually(async () => (await outcomes(gateway, 'done')) === 1);
    const { decisions } = (await getJson(gateway, '/decisions')) as { decisions: { known: string }[] };
    expect(decisions.map(({ known }) => known)).toEqual(['tokens', 'bytes']);
    await atRest(gateway);
  });
});

// Which routing options a client may set, and what it learns about the worker.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readApiKey } from '../../../src/gateway/config/api-keys.ts';
import { clientIdOf } from '../../../src/gateway/engines/client-id.ts';
import { rightsOf } from '../../../src/gateway/inference/client-rights.ts';
import { limitPriority } from '../../../src/wire/limit-priority.ts';
import { type FakeEngine, replyJson } from '../../e2e/fake-engine.ts';
import { getJson, Harness, post } from '../../e2e/harness.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(() => harness.end());

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const plain = 'plain-secret-0000001';
const batch = 'batch-secret-0000001';
const trusted = 'trusted-secret-00001';
const apiKeys = [
  { name: 'plain', key: plain },
  { name: 'batch', key: batch, priorities: [5, 10] },
  { name: 'trusted', key: trusted, priorities: [-100, 0], routing: true },
];

/** The priority in the body that the engine receives. */
async function prioritySent(engine: FakeEngine, send: () => Promise<{ status: number }>): Promise<unknown> {
  expect((await send()).status).toBe(200);
  return (JSON.parse(engine.requests.at(-1)!.body) as { priority?: unknown }).priority;
}

describe('the priority of a request', () => {
  it('is limited to the range of its key, also for the engine, and is 0 without a grant', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], apiKeys });
    const sent = (key: string, priority: unknown, path = '/v1/completions') =>
      prioritySent(engine, () =>
        post(gateway, path, { model: 'fake', prompt: 'x', stream: true, priority }, bearer(key)),
      );
    expect(await sent(plain, -5)).toBe(0);
    expect(await sent(plain, 5)).toBe(0);
    expect(await sent(plain, undefined)).toBe(undefined);
    expect(await sent(batch, -5)).toBe(5);
    expect(await sent(batch, 7)).toBe(7);
    expect(await sent(batch, 99)).toBe(10);
    expect(await sent(trusted, -50)).toBe(-50);
    engine.behaviour = ({ response }) => replyJson(response, 200, {});
    expect(await sent(plain, -5, '/v1/embeddings')).toBe(0);
    expect(await sent(plain, '-5', '/v1/embeddings')).toBe(0);
    expect(await sent(trusted, -50, '/v1/embeddings')).toBe(-50);
  });

  it.each([
    ['{"priority":-7,"x":1.0}', '{"priority":0,"x":1.0}'],
    ['{"x":1e5,"prior\\u0069ty" : -7 }', '{"x":1e5,"prior\\u0069ty" : 0 }'],
    ['{"priority":-7,"priority":-8}', '{"priority":-7,"priority":0}'],
    ['{"priority":1e-1}', '{"priority":0}'],
    ['{"priority":0,"x":{"priority":-7}}', null],
    ['{"priority":null}', null],
    ['{"x":"\\"priority\\":-7"}', null],
    ['{}', null],
  ])('is changed in %s and nowhere else', (text, expected) => {
    const body = Buffer.from(text);
    const limited = limitPriority(body, () => 0);
    if (expected === null) expect(limited).toBe(body);
    else expect(limited.toString()).toBe(expected);
  });
});

describe('routing headers', () => {
  it('are used for a key that grants them, and ignored otherwise', async () => {
    const engines = await harness.engines(2);
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url), apiKeys });
    const steering = {
      'x-kvoyant-pin': 'nowhere#0',
      'x-kvoyant-overlap-weight': 'x',
      'x-kvoyant-temperature': 'x',
      'x-kvoyant-priority': 'x',
    };
    const status = async (key: string, headers: Record<string, string>): Promise<number> =>
      (await post(gateway, '/v1/completions', { model: 'fake', prompt: 'x' }, { ...bearer(key), ...headers })).status;
    for (const [name, value] of Object.entries(steering)) {
      expect([name, await status(plain, { [name]: value })]).toEqual([name, 200]);
      expect([name, await status(trusted, { [name]: value })]).toEqual([name, 400]);
    }
    for (const engine of engines) {
      const pin = { 'x-kvoyant-pin': `${engine.url}#0` };
      const answer = await post(
        gateway,
        '/v1/completions',
        { model: 'fake', prompt: 'x' },
        { ...bearer(trusted), ...pin },
      );
      expect(answer.headers['x-kvoyant-worker']).toBe(`${clientIdOf(engine.url)}#0`);
    }
  });

  it('are used for everyone if no keys are set and only this machine has access', () => {
    expect(rightsOf(null, '127.0.0.1')).toMatchObject({ routing: true, priorityMin: -(2 ** 31) });
    expect(rightsOf(null, '0.0.0.0')).toEqual({ routing: false, priorityMin: 0, priorityMax: 0 });
  });

  it('name sessions per key', async () => {
    const engines = await harness.engines(2);
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url), apiKeys, sessionCreditTokens: 50 });
    const affinities = async (key: string): Promise<number[]> => {
      const headers = { ...bearer(key), 'x-kvoyant-session': 'mine', 'x-request-id': key };
      await post(gateway, '/v1/completions', { model: 'fake', prompt: 'x' }, headers);
      const { decisions } = (await getJson(gateway, `/decisions/${key}`)) as {
        decisions: readonly { candidates: readonly { affinityTokens: number }[] }[];
      };
      return decisions[0]!.candidates.map(({ affinityTokens }) => affinityTokens).sort((a, b) => a - b);
    };
    expect(await affinities(plain)).toEqual([0, 0]);
    expect(await affinities(plain)).toEqual([0, 50]);
    expect(await affinities(batch)).toEqual([0, 0]);
  });
});

describe('a key', () => {
  it.each([
    [{ priorities: [1] }, /priorities of k must be the lowest and the highest/],
    [{ priorities: [2, 1] }, /priorities of k/],
    [{ priorities: ['1', 2] }, /priorities of k/],
    [{ priorities: 5 }, /priorities of k/],
    [{ priorities: [0, 2 ** 31] }, /priorities of k/],
    [{ priorities: null }, /priorities is empty/],
    [{ routing: 'yes' }, /routing of k must be true or false/],
  ])('with %j is a fault', (more, message) => {
    expect(readApiKey({ name: 'k', key: plain, ...more })).toMatchObject({
      kind: 'wrong',
      message: expect.stringMatching(message) as string,
    });
  });
});

describe('the address of an engine', () => {
  it('is for operators; clients see a name that stays the same', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    const completions = await post(gateway, '/v1/completions', { model: 'fake', prompt: 'x' }, { 'x-request-id': 'r' });
    engine.behaviour = ({ response }) => replyJson(response, 200, {});
    const embeddings = await post(gateway, '/v1/embeddings', { model: 'fake', input: 'x' });
    const { hostname, port } = new URL(engine.url);
    for (const { headers, body } of [completions, embeddings]) {
      const shown = JSON.stringify(headers) + body;
      expect(shown).not.toContain(hostname);
      expect(shown).not.toContain(port);
    }
    const told = completions.headers['x-kvoyant-worker'];
    expect(told).toMatch(/^engine-[0-9a-f]{12}#0$/);
    expect(embeddings.headers['x-kvoyant-worker']).toBe(told);
    expect(await getJson(gateway, '/workers')).toMatchObject({ workers: [{ id: `${engine.url}#0`, clientId: told }] });
    expect(await getJson(gateway, '/decisions/r')).toMatchObject({
      decisions: [{ worker: `${engine.url}#0`, workerClientId: told }],
    });
  });

  it.each([301, 302, 307, 308, 304])('is not revealed by a redirect (%d), which is not followed', async (status) => {
    const engine = await harness.engine();
    engine.behaviour = ({ response }) => {
      response.writeHead(status, { location: `${engine.url}/elsewhere` }).end();
    };
    const gateway = await harness.gateway({ workers: [engine.url] });
    for (const path of ['/v1/completions', '/v1/embeddings']) {
      const answer = await post(gateway, path, { model: 'fake', prompt: 'x', input: 'x' });
      expect(answer.status).toBeGreaterThanOrEqual(502);
      expect(answer.headers['location']).toBe(undefined);
      expect(JSON.stringify(answer)).not.toContain(engine.url);
    }
  });

  it('is in no other header, whatever the status', async () => {
    const engine = await harness.engine();
    engine.behaviour = ({ response }) => {
      const headers = { location: engine.url, 'content-location': engine.url, refresh: `0; url=${engine.url}` };
      response.writeHead(201, { ...headers, 'content-type': 'application/json' }).end('{}');
    };
    const gateway = await harness.gateway({ workers: [engine.url] });
    const answer = await post(gateway, '/v1/embeddings', { model: 'fake', input: 'x' });
    expect([answer.status, answer.body]).toEqual([201, '{}']);
    expect(JSON.stringify(answer.headers)).not.toContain(engine.url);
  });
});

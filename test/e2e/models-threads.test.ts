// Names of the setting `models` at a gateway with two processes for connections.

import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { atRest, eventually, getJson, Harness, post } from './harness.ts';

const startMsMax = 60_000;

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
});

async function threadRequests(gateway: Gateway): Promise<number> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  return Number(/^kvoyant_thread_requests_total\{by="thread"\} (\d+)$/m.exec(text)?.[1] ?? 0);
}

it(
  'threads serve aliases, splits and fallbacks themselves, and pass on names with a shadow',
  async () => {
    const stable = await harness.engine({ models: ['llama'] });
    const canary = await harness.engine({ models: ['llama-next'] });
    const gateway = await harness.gateway({
      ...{ threads: 2, tokenizer: 'builtin', trustTokenizer: true, pools: ['stable', 'canary'] },
      workers: [
        { url: stable.url, pool: 'stable' },
        { url: canary.url, pool: 'canary' },
      ],
      models: [
        'fast=llama',
        {
          name: 'both',
          split: [
            { pool: 'stable', weight: 1 },
            { pool: 'canary', weight: 1 },
          ],
        },
        { name: 'safe', pool: 'stable', fallback: [{ pool: 'canary' }] },
        { name: 'copied', pool: 'stable', shadow: { pool: 'canary', share: 1 } },
      ],
    });
    const ask = async (model: string, session = 's'): Promise<unknown[]> => {
      const body = `{"seed":1.0, "model" : "${model}","messages":[{"role":"user","content":"hi"}],"stream":true}`;
      const { status, headers } = await post(gateway, '/v1/chat/completions', body, { 'x-kvoyant-session': session });
      return [status, headers['x-kvoyant-pool'], headers['x-kvoyant-model'], headers['x-kvoyant-route']];
    };
    // Once the threads know the names.
    await eventually(async () => {
      await ask('fast');
      return (await threadRequests(gateway)) > 0;
    }, startMsMax);
    const before = await threadRequests(gateway);
    expect(await ask('fast')).toEqual([200, 'stable', 'llama', 'alias']);
    expect(stable.requests.at(-1)!.body).toBe(
      '{"seed":1.0, "model" : "llama","messages":[{"role":"user","content":"hi"}],"stream":true}',
    );
    const pools = new Map<string, unknown>();
    for (let i = 0; i < 16; i++) {
      const session = `s${i % 8}`;
      const [status, pool, model, way] = await ask('both', session);
      expect([status, model, way]).toEqual([200, pool === 'stable' ? 'llama' : 'llama-next', 'split']);
      expect(pools.get(session) ?? pool).toBe(pool);
      pools.set(session, pool);
    }
    expect(new Set(pools.values()).size).toBe(2);
    expect(await ask('safe')).toEqual([200, 'stable', 'llama', 'alias']);
    expect(await threadRequests(gateway)).toBe(before + 18);
    expect(await ask('copied')).toEqual([200, 'stable', 'llama', 'alias']);
    expect(await threadRequests(gateway)).toBe(before + 18);
    await eventually(async () => {
      const { decisions } = (await getJson(gateway, '/decisions')) as { decisions: { shadow: boolean }[] };
      return decisions.some(({ shadow }) => shadow);
    });
    await stable.close();
    // The very request that finds the engine dead.
    expect(await ask('safe')).toEqual([200, 'canary', 'llama-next', 'fallback']);
    await atRest(gateway, 20_000);
  },
  2 * startMsMax,
);

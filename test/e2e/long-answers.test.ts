// Answers that grow with the fleet are made piece by piece: no length is known when they begin.

import { afterEach, expect, it } from 'vitest';
import { chatBody, Harness, post } from './harness.ts';

const harness = new Harness();
afterEach(() => harness.end());

/** Enough that each list is longer than what is sent in one piece. */
const engineCount = 64;
const requestCount = 40;

it('sends metrics, workers and decisions of many workers piece by piece', async () => {
  const engines = await Promise.all(Array.from({ length: engineCount }, () => harness.engine()));
  const gateway = await harness.gateway({ workers: engines.map(({ url }) => url) });
  for (let sent = 0; sent < requestCount; sent++) await post(gateway, '/v1/chat/completions', chatBody);
  const shown = new Map<string, string>();
  for (const path of ['/metrics', '/workers', '/decisions']) {
    const answer = await fetch(gateway.adminUrl + path);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-length')).toBeNull();
    shown.set(path, await answer.text());
  }
  expect(shown.get('/metrics')!.match(/^kvoyant_running_requests\{worker=/gm)).toHaveLength(engineCount);
  expect((JSON.parse(shown.get('/workers')!) as { workers: object[] }).workers).toHaveLength(engineCount);
  const { decisions } = JSON.parse(shown.get('/decisions')!) as { decisions: { candidates: object[] }[] };
  expect(decisions.map(({ candidates }) => candidates.length)).toEqual(new Array(requestCount).fill(engineCount));
}, 60_000);

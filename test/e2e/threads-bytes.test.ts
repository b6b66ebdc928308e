// Requests at a gateway with threads that mean one thing to a thread and could mean another to the main process.

import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import type { FakeEngine } from './fake-engine.ts';
import { chatBody, eventually, Harness, post } from './harness.ts';
import { sendBytes } from './raw-request.ts';

const startMsMax = 60_000;
const path = '/v1/chat/completions';
const body = JSON.stringify({ ...chatBody, stream: true });
const head = 'host: x\r\nconnection: close\r\ncontent-type: application/json\r\n';

const harness = new Harness();
let engine: FakeEngine;
let gateway: Gateway;
beforeAll(async () => {
  engine = await harness.engine();
  gateway = await harness.gateway({
    ...{ workers: [engine.url], threads: 2, tokenizer: 'builtin', trustTokenizer: true, logLevel: 'silent' },
  });
  await eventually(async () => {
    await post(gateway, path, JSON.parse(body));
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    return /kvoyant_thread_requests_total\{by="thread"\} [1-9]/.test(metrics);
  }, startMsMax);
}, startMsMax);
afterAll(() => harness.end());

it('a body is one, behind however many headers its length stands', async () => {
  const input = JSON.stringify({ model: 'fake', input: 'x' });
  const hidden = `POST /v1/embeddings HTTP/1.1\r\n${head}content-length: ${input.length}\r\n\r\n${input}`;
  const many = 'a: b\r\n'.repeat(1100);
  const asked = engine.requests.length;
  const bytes = `GET /v1/models HTTP/1.1\r\n${head}${many}content-length: ${hidden.length}\r\n\r\n${hidden}`;
  expect(await sendBytes(gateway, bytes)).toMatch(/^HTTP\/1\.1 200 /);
  expect((await post(gateway, path, JSON.parse(body))).status).toBe(200);
  expect(engine.requests.slice(asked).map((request) => request.path)).toEqual([path]);
});

it('a query with a fragment is refused, as without threads', async () => {
  const bytes = `POST ${path}?a#b HTTP/1.1\r\n${head}content-length: ${body.length}\r\n\r\n${body}`;
  const answer = await sendBytes(gateway, bytes);
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(answer).toContain('"invalid_path"');
});

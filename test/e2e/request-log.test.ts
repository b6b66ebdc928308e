// The log's line about each request.

import { afterEach, beforeEach, expect, it } from 'vitest';
import { replyWhole } from './fake-engine.ts';
import { chatBody, eventually, Harness, post } from './harness.ts';
import { LogLines } from './log-lines.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
});

it('logs client, worker, reason, amounts and times, one line per request, whatever its outcome', async () => {
  const engine = await harness.engine();
  const secret = 'some-secret-00000001';
  const log = new LogLines();
  const options = { workers: [engine.url], apiKeys: [`alice:${secret}`], logLevel: 'info', logRequests: true } as const;
  const gateway = await harness.gateway(options, 1, ['fake'], { logTo: log });
  const send = (path: string, body: object, id: string) =>
    post(gateway, path, body, { authorization: `Bearer ${secret}`, 'x-request-id': id });
  await send('/v1/chat/completions', { ...chatBody, stream: true }, 'streamed');
  engine.behaviour = (request) => replyWhole(request, 'x');
  await send('/v1/chat/completions', chatBody, 'whole');
  await send('/v1/embeddings?x=1', { input: 'x' }, 'passed');
  await send('/v1/completions', { model: 'other', prompt: 'x' }, 'unknown');
  await post(gateway, '/v1/completions', {}, { 'x-request-id': 'keyless' });
  await fetch(`${gateway.adminUrl}/loads`);
  await eventually(() => log.with('request').length === 5);
  const worker = `${engine.url}#0`;
  const common = { method: 'POST', key: 'alice', limit: null, durationMs: expect.any(Number) };
  const routed = {
    ...common,
    model: 'fake',
    worker,
    attempts: 1,
    policy: 'foresee',
    reason: 'only',
    status: 200,
    outcome: 'done',
  };
  expect(log.with('request')).toMatchObject([
    {
      requestId: 'streamed',
      ...routed,
      path: '/v1/chat/completions',
      inputTokens: 10,
      cachedTokens: 0,
      outputTokens: 3,
      ttftMs: expect.any(Number),
    },
    {
      requestId: 'whole',
      ...routed,
      inputTokens: 10, // It has told of cached tokens before, so it says that there were none.
      cachedTokens: 0,
      outputTokens: 2,
      ttftMs: null,
    },
    { requestId: 'passed', ...common, path: '/v1/embeddings', status: 200, model: 'fake' },
    { requestId: 'unknown', ...common, status: 404, model: null },
    { requestId: 'keyless', ...common, status: 401, key: null },
  ]);
});

it('logs the limit that ended a request', async () => {
  const engine = await harness.engine();
  engine.behaviour = () => undefined;
  const log = new LogLines();
  const options = { workers: [engine.url], totalMsMax: 100, logLevel: 'info', logRequests: true } as const;
  const gateway = await harness.gateway(options, 1, ['fake'], { logTo: log });
  await post(gateway, '/v1/chat/completions', chatBody);
  await eventually(() => log.with('request').length === 1);
  expect(log.with('request')).toMatchObject([{ status: 504, limit: 'totalMsMax', outcome: 'aborted' }]);
});

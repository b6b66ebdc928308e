// A long prompt does not hold the event loop: it is read in parts and by a thread, and tokenized by another.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, expect, it } from 'vitest';
import { getJson, Harness } from './harness.ts';
import { longestTurnMs } from './longest-turn.ts';

const harness = new Harness();
afterEach(() => harness.end());

/** Limits of a turn in ms, for a megabyte and for any body; `slack` allows for machines that are five times slower. */
const turnMsMax = 20;
const anyTurnMsMax = 50;
const slack = 5;

it('keeps every turn short with a megabyte of text', async () => {
  const engine = await harness.engine();
  const gateway = await harness.gateway({ workers: [engine.url], tokenizer: 'builtin', trustTokenizer: true });
  const bodyOf = (round: number): Buffer => {
    const content = `round ${round}: ${'a long text with some numbers 12345, and names.\n'.repeat(21_000)}`;
    return Buffer.from(JSON.stringify({ model: 'fake', messages: [{ role: 'user', content }], stream: true }));
  };
  const send = async (body: Buffer): Promise<void> => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', headers, body });
    expect(response.status).toBe(200);
    await response.text();
  };
  await send(bodyOf(0));
  const longest: number[] = [];
  for (let round = 1; round <= 4; round++) {
    const body = bodyOf(round);
    longest.push(await longestTurnMs(() => send(body)));
  }
  expect(Math.min(...longest)).toBeLessThan(turnMsMax * slack);
  const { decisions } = (await getJson(gateway, '/decisions')) as { decisions: { isl: number; known: string }[] };
  expect(decisions[0]).toMatchObject({ known: 'tokens' });
  expect(decisions[0]!.isl).toBeGreaterThan(200_000);
}, 60_000);

/** An engine in a thread of its own, so that its turns are not ours. Tells the digest of each body that it gets. */
const engineScript = `
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { parentPort } from 'node:worker_threads';
const server = createServer((request, response) => {
  if (request.method === 'GET') {
    const isList = request.url === '/v1/models';
    response.writeHead(isList || request.url === '/health' ? 200 : 404, { 'content-type': 'application/json' });
    return response.end(isList ? JSON.stringify({ object: 'list', data: [{ id: 'fake', object: 'model' }] }) : '');
  }
  const digest = createHash('sha256');
  request.on('data', (chunk) => digest.update(chunk));
  request.on('end', () => {
    if (request.url === '/v1/chat/completions') parentPort.postMessage(digest.digest('hex'));
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end('data: {"id":"x","choices":[{"index":0,"delta":{"content":"a"}}]}\\n\\ndata: [DONE]\\n\\n');
  });
});
server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));`;

it('keeps every turn short with thirty megabytes, and passes them on to the byte', async () => {
  const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(engineScript)}`));
  const [port] = (await once(thread, 'message')) as [number];
  const gateway = await harness.gateway({
    workers: [`http://127.0.0.1:${port}`],
    tokenizer: 'builtin',
    trustTokenizer: true,
    injectUsage: true,
  });
  const content = 'a long text — with some numbers 12345, and names.\n'.repeat(590_000);
  const longest: number[] = [];
  for (let round = 1; round <= 3; round++) {
    const rest = JSON.stringify({ round, model: 'fake', messages: [{ role: 'user', content }], stream: true }).slice(1);
    const body = Buffer.from(`{${rest}`);
    const edited = createHash('sha256').update(`{"stream_options":{"include_usage":true},${rest}`).digest('hex');
    const got = once(thread, 'message');
    longest.push(
      await longestTurnMs(async () => {
        const headers = { 'content-type': 'application/json' };
        const response = await fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', headers, body });
        expect(response.status).toBe(200);
        await response.text();
      }),
    );
    expect(await got).toEqual([edited]);
  }
  expect(Math.min(...longest)).toBeLessThan(anyTurnMsMax * slack);
  await harness.end();
  await thread.terminate();
}, 120_000);

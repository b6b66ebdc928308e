// A process that looks like an engine and misbehaves as it is told: `POST /script` with a JSON object changes its ways.

import { createServer } from 'node:http';

/**
 * @typedef {object} Script
 * @property {string} kind stream, cut-mid-chunk, garbage, never-ending, refuse, flood
 * @property {number} firstTokenMs
 * @property {number} tokens
 * @property {number} gapMs
 */
const script = { kind: 'stream', firstTokenMs: 500, tokens: 5, gapMs: 20 };
let open = 0;
let served = 0;
let foreign = 0;
/** Unix time of the last end of an answer. */
let closedMs = 0;

const chunk = (text, finish = null) =>
  `data: ${JSON.stringify({
    id: 'cmpl-1',
    object: 'text_completion',
    created: 1,
    model: 'scripted',
    choices: [{ index: 0, text, logprobs: null, finish_reason: finish }],
  })}\n\n`;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const ways = {
  async stream(response) {
    await sleep(script.firstTokenMs);
    for (let i = 1; i <= script.tokens && !response.destroyed; i++) {
      response.write(chunk(` t${i}`, i === script.tokens ? 'length' : null));
      if (i < script.tokens) await sleep(script.gapMs);
    }
    response.end('data: [DONE]\n\n');
  },
  async 'cut-mid-chunk'(response) {
    await sleep(script.firstTokenMs);
    for (let i = 0; i < script.tokens; i++) response.write(chunk(' t'));
    response.write(chunk(' t').slice(0, 40));
    await sleep(script.gapMs);
    response.socket?.resetAndDestroy();
  },
  async garbage(response) {
    response.write(Buffer.from([0xff, 0x00, 0xc3, 0x28, 0x0a, 0x0a]));
    response.end(`data: {"choices": [\n\ndata: \u0000\n\n: no\n\nevent: x\n\n`);
  },
  async 'never-ending'(response) {
    while (!response.destroyed) {
      response.write(chunk(' t'));
      await sleep(script.gapMs);
    }
  },
  async flood(response) {
    const filler = chunk('x'.repeat(32_768));
    for (let bytes = 0; bytes < script.tokens * filler.length && !response.destroyed; bytes += filler.length) {
      if (response.write(filler)) continue;
      await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
    }
    response.end('data: [DONE]\n\n');
  },
};

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const part of request) chunks.push(part);
  const body = Buffer.concat(chunks).toString('utf8');
  const json = (status, value) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
  switch (`${request.method} ${request.url}`) {
    case 'GET /health':
      response.end();
      return;
    case 'GET /v1/models':
      json(200, { object: 'list', data: [{ id: 'scripted', object: 'model', created: 1, owned_by: 'test' }] });
      return;
    case 'POST /script':
      Object.assign(script, JSON.parse(body));
      json(200, script);
      return;
    case 'GET /state':
      json(200, { open, served, foreign, closedMs });
      return;
    case 'POST /v1/completions':
    case 'POST /v1/chat/completions':
      break;
    default:
      if (request.url.includes('smuggled')) foreign += 1;
      json(404, { detail: 'Not Found' });
      return;
  }
  open += 1;
  response.on('close', () => {
    open -= 1;
    closedMs = Date.now();
  });
  served += 1;
  if (script.kind === 'refuse') {
    json(400, { error: { message: 'no', type: 'BadRequestError', param: null, code: 400 } });
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  response.flushHeaders();
  await ways[script.kind](response);
});
server.keepAliveTimeout = 5000;
server.listen({ port: Number(process.argv[2] ?? 0), host: '127.0.0.1', backlog: 4096 }, () => {
  console.log(`scripted engine listening on http://127.0.0.1:${server.address().port}`);
});

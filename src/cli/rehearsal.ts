// Rehearsal before the gateway listens: a second gateway serves fake requests on loopback, so that V8 compiles the
// code.

import { once } from 'node:events';
import { Agent, createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Gateway, type GatewayConfig, startGateway } from '../gateway/index.ts';

const requestCount = 250;
const concurrency = 64;
const promptTokens = 1000;
const answerTokens = 4;
const model = 'rehearsal';
const readyMsMax = 5000;
/** No request is sent after this time. After twice this time the connections of unanswered requests are closed. */
const sendingMsMax = 3000;

/**
 * Runs a gateway, its engines and its clients in this process. They share no state with the real gateway; only the
 * compiled code remains. Without a rehearsal the first burst after a start takes twice the processor time of later
 * ones.
 * @throws Error if a request fails or is not answered in time; the real gateway can start anyway
 */
export async function rehearse({ policy }: Pick<GatewayConfig, 'policy'>): Promise<void> {
  const engines = await Promise.all([startEngine(), startEngine()]);
  let gateway: Gateway | null = null;
  try {
    gateway = await startGateway({
      policy,
      workers: engines.map(addressOf),
      port: 0,
      adminPort: 'none',
      tokenizer: 'none',
      canary: false,
      logLevel: 'silent',
      probeIntervalMs: 10,
      shutdownGraceMs: 0,
    });
    await gateway.whenReady(readyMsMax);
    await sendAll(gateway.url);
  } finally {
    await gateway?.close();
    for (const engine of engines) engine.close().closeAllConnections();
  }
}

async function startEngine(): Promise<Server> {
  const token = (index: number, finish: string | null): string => {
    const choice = { index: 0, text: ` ${index}`, logprobs: null, finish_reason: finish };
    return `data: ${JSON.stringify({ id: 'cmpl-0', object: 'text_completion', created: 0, model, choices: [choice] })}\n\n`;
  };
  const chunks = Array.from({ length: answerTokens }, (_, i) => token(i, i === answerTokens - 1 ? 'length' : null));
  const server = createServer((request, response) => {
    request.resume();
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ object: 'list', data: [{ id: model, object: 'model' }] }));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let next = 0;
    const send = (): void => {
      if (next === chunks.length) response.end('data: [DONE]\n\n');
      else response.write(chunks[next++]!, () => setImmediate(send));
    };
    send();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function sendAll(url: string): Promise<void> {
  const agent = new Agent({ keepAlive: false });
  // One timer for all requests: an abort signal would accumulate a listener per request.
  let isLate = false;
  const deadline = setTimeout(() => {
    isLate = true;
    agent.destroy();
  }, 2 * sendingMsMax);
  const endMs = performance.now() + sendingMsMax;
  let sent = 0;
  const client = async (): Promise<void> => {
    while (sent < requestCount && performance.now() < endMs) {
      const prompt = Array.from({ length: promptTokens }, (_, i) => sent * promptTokens + i);
      sent += 1;
      const body = JSON.stringify({ model, prompt, stream: true, max_tokens: answerTokens });
      const request = httpRequest(`${url}/v1/completions`, { method: 'POST', agent }).end(body);
      const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream];
      await once(response.resume(), 'end');
    }
  };
  try {
    await Promise.all(Array.from({ length: concurrency }, client));
  } catch (error) {
    if (isLate) throw new Error(`a request was not answered within ${2 * sendingMsMax} ms`, { cause: error });
    throw error;
  } finally {
    clearTimeout(deadline);
    agent.destroy();
  }
}

// A local server whose answers a test writes by hand, and a client for it; both are closed at the end.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { LoadRequest } from '../../src/load/load-request.ts';
import { completionBody } from '../../src/load/load-request.ts';
import { type ClientOptions, OpenAiClient } from '../../src/load/openai-client.ts';

export type Answer = (response: ServerResponse, request: IncomingMessage, body: string) => void | Promise<void>;

export async function withClient<T>(
  answer: Answer,
  use: (client: OpenAiClient, origin: string) => Promise<T>,
  options: ClientOptions = {},
): Promise<T> {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += part;
    await answer(response, request, body);
  });
  server.listen({ port: 0, host: '127.0.0.1', backlog: 2048 });
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new OpenAiClient(origin, options);
  try {
    return await use(client, origin);
  } finally {
    await client.close();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
}

export function request(index = 0, arrivalMs = 0): LoadRequest {
  return { index, arrivalMs, path: '/v1/completions', body: completionBody('m', `prompt ${index}`, 4) };
}

export function event(body: object | string): string {
  return `data: ${typeof body === 'string' ? body : JSON.stringify(body)}\n\n`;
}

export function tokenEvent(text: string, more: object = {}): string {
  return event({ choices: [{ index: 0, text, finish_reason: null, ...more }] });
}

export function usageEvent(prompt: number, completion: number, cached: number): string {
  const details = { prompt_tokens_details: { cached_tokens: cached } };
  return event({ choices: [], usage: { prompt_tokens: prompt, completion_tokens: completion, ...details } });
}

export const doneEvent: string = event('[DONE]');

export function startStream(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
}

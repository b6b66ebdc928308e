// Clients of the fault tests: streams with an exact record of their end.

import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { Random } from '../../src/core/index.ts';

export interface StreamEnd {
  readonly status: number;
  readonly tokens: number;
  /** `done`: complete. `error`: an error event. `cut`: broken off without one. `refused`: a status other than 200. */
  readonly how: 'done' | 'error' | 'cut' | 'refused' | 'timeout';
  /** NaN: no token. */
  readonly firstTokenMs: number;
  /** Error code of a broken connection. */
  readonly code: string | undefined;
}

const agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY });
const tlsAgent = new TlsAgent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY, rejectUnauthorized: false });
const promptTokens = 2000;

/** A request with a unique prompt. */
export function completion(seed: number, maxTokens: number): string {
  const random = new Random(seed);
  const prompt = Array.from({ length: promptTokens }, () => random.below(50_000));
  return JSON.stringify({ model: 'scripted', prompt, stream: true, max_tokens: maxTokens, ignore_eos: true });
}

export function stream(url: string, body: string, timeoutMs = 60_000): Promise<StreamEnd> {
  const startMs = performance.now();
  return new Promise((resolve) => {
    let status = 0;
    let text = '';
    let tokens = 0;
    let firstTokenMs = Number.NaN;
    let error = false;
    let done = false;
    let code: string | undefined;
    const settle = (how: StreamEnd['how']): void => {
      clearTimeout(timer);
      resolve({ status, tokens, how, firstTokenMs, code });
      request.destroy();
    };
    const take = (event: string): void => {
      if (event === 'data: [DONE]') done = true;
      else if (event.startsWith('data: {"error"')) error = true;
      else if (event.startsWith('data: ')) {
        if (tokens === 0) firstTokenMs = performance.now() - startMs;
        tokens += 1;
      }
    };
    const timer = setTimeout(() => settle('timeout'), timeoutMs);
    const secure = url.startsWith('https:');
    const request = (secure ? tlsRequest : httpRequest)(`${url}/v1/completions`, {
      method: 'POST',
      agent: secure ? tlsAgent : agent,
      headers: { 'content-type': 'application/json' },
    });
    const cut = (error: NodeJS.ErrnoException): void => {
      code = error.code;
      settle('cut');
    };
    request.on('error', cut);
    request.on('response', (response: IncomingMessage) => {
      status = response.statusCode ?? 0;
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        const events = (text + chunk).split('\n\n');
        text = events.pop()!;
        for (const event of events) take(event.trim());
      });
      response.on('error', cut);
      response.on('end', () => settle(status !== 200 ? 'refused' : error ? 'error' : done ? 'done' : 'cut'));
    });
    request.end(body);
  });
}

/** `count` streams at once. */
export function burst(url: string, count: number, maxTokens: number, seed = 1): Promise<StreamEnd[]> {
  // Created beforehand, so that this time does not count as waiting.
  const bodies = Array.from({ length: count }, (_, i) => completion(seed * 100_000 + i, maxTokens));
  return Promise.all(bodies.map((body) => stream(url, body)));
}

export const failed = (ends: readonly StreamEnd[]): StreamEnd[] => ends.filter(({ how }) => how !== 'done');

export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * q) - 1)] ?? Number.NaN;
}

// Streams that break off after two tokens, and what a client sees of an answer that another engine goes on with.

import type { Gateway } from '../../src/gateway/index.ts';
import { endStream, type FakeRequest, openStream, resetAfter, sendToken } from './fake-engine.ts';
import { type Answer, chatBody } from './harness.ts';

export const chat = { ...chatBody, stream: true, stream_options: { include_usage: true }, max_tokens: 10 };

/** Sends two tokens, then does what breaks the stream. */
export function dying(end: (request: FakeRequest) => void): (request: FakeRequest) => void {
  return (request) => {
    openStream(request);
    request.response.write(
      'data: {"id":"chatcmpl-first","object":"chat.completion.chunk","created":7,"model":"fake","choices":' +
        '[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n',
    );
    sendFirst(request, 'Hel');
    sendFirst(request, 'lo');
    // The tokens must have left before a reset discards what is not sent.
    setTimeout(() => end(request), 50);
  };
}

export function sendFirst({ response }: FakeRequest, content: string): void {
  response.write(
    `data: {"id":"chatcmpl-first","object":"chat.completion.chunk","created":7,"model":"fake","choices":` +
      `[{"index":0,"delta":{"content":${JSON.stringify(content)}},"finish_reason":null}]}\n\n`,
  );
}

export const reset = ({ socket }: FakeRequest): void => void socket.resetAndDestroy();
export const write =
  (text: string) =>
  ({ response }: FakeRequest): void =>
    void response.write(text);
export const thenResets =
  (text: string) =>
  (request: FakeRequest): void => {
    write(text)(request);
    void resetAfter(request, 50);
  };
export const error = 'data: {"error": {"message": "out of memory", "type": "InternalServerError", "code": 500}}\n\n';

/** Goes on with a prompt of 12 tokens, which includes two of the answer. */
export function going(request: FakeRequest): void {
  openStream(request);
  request.response.write(
    'data: {"id":"chatcmpl-second","object":"chat.completion.chunk","created":9,"model":"other","choices":' +
      '[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n',
  );
  for (const text of [' wor', 'ld']) sendToken(request, text, text === 'ld' ? 'stop' : null);
  endStream(request, 12, 2);
}

export interface Seen {
  readonly text: string;
  readonly ids: readonly string[];
  readonly roles: number;
  readonly finish: readonly string[];
  readonly usage: readonly unknown[];
  readonly errors: readonly string[];
  readonly ends: number;
}

export function seenIn({ body }: Answer): Seen {
  const chunks = body.split('\n').flatMap((line) => (line.startsWith('data: ') ? [line.slice(6)] : []));
  const parsed = chunks.filter((data) => data.startsWith('{')).map((data) => JSON.parse(data));
  const choices = parsed.flatMap(({ choices: some }) => some ?? []);
  return {
    text: choices.map(({ delta, text }) => delta?.content ?? text ?? '').join(''),
    ids: [...new Set<string>(parsed.flatMap(({ id, created }) => (id === undefined ? [] : [`${id} ${created}`])))],
    roles: choices.filter(({ delta }) => typeof delta?.role === 'string').length,
    finish: choices.flatMap(({ finish_reason: finish }) => finish ?? []),
    usage: parsed.flatMap(({ usage }) => usage ?? []),
    errors: parsed.flatMap(({ error: one }) => (one === undefined ? [] : [one.message])),
    ends: chunks.filter((data) => data === '[DONE]').length,
  };
}

export async function interruptions(gateway: Gateway): Promise<string[]> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  return [...text.matchAll(/^kvoyant_interrupted_streams_total\{outcome="(\w+)",reason="(\w*)"\} (\d+)$/gm)].map(
    ([, outcome, reason, count]) => [outcome, reason, count].filter((word) => word !== '').join(' '),
  );
}

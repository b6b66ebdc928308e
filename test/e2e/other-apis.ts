// Answers of the responses and messages APIs, as vLLM streams them.

import type { FakeRequest } from './fake-engine.ts';
import { replyJson } from './fake-engine.ts';

export interface Counts {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
}

export type OtherApi = 'responses' | 'messages';

export const pathOf: Readonly<Record<OtherApi, string>> = { responses: '/v1/responses', messages: '/v1/messages' };

/** The same prompt for either API. */
export function bodyOf(api: OtherApi, text: string, more: object = {}): object {
  return api === 'responses'
    ? { model: 'fake', input: text, ...more }
    : { model: 'fake', messages: [{ role: 'user', content: text }], max_tokens: 64, ...more };
}

export function usageOf(api: OtherApi, { promptTokens, cachedTokens, outputTokens }: Counts): object {
  return api === 'responses'
    ? {
        input_tokens: promptTokens,
        input_tokens_details: { cached_tokens: cachedTokens },
        output_tokens: outputTokens,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: promptTokens + outputTokens,
      }
    : {
        input_tokens: promptTokens - cachedTokens,
        cache_read_input_tokens: cachedTokens,
        output_tokens: outputTokens,
      };
}

function event(value: { readonly type: string }): string {
  return `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`;
}

/** The events before the first token. */
export function opening(api: OtherApi, id = 'resp_1'): string {
  return api === 'responses'
    ? event({ type: 'response.created', response: { id, usage: null } } as { type: string })
    : event({ type: 'message_start', message: { id, usage: { input_tokens: 1, output_tokens: 0 } } } as {
        type: string;
      });
}

export function token(api: OtherApi, text: string): string {
  return api === 'responses'
    ? event({ type: 'response.output_text.delta', delta: text } as { type: string })
    : event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } } as { type: string });
}

export function ending(api: OtherApi, counts: Counts, id = 'resp_1'): string {
  const usage = usageOf(api, counts);
  return api === 'responses'
    ? event({ type: 'response.completed', response: { id, usage } } as { type: string })
    : event({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage } as { type: string }) +
        event({ type: 'message_stop' });
}

export function streamOf(api: OtherApi, counts: Counts, id = 'resp_1'): string {
  const tokens = Array.from({ length: counts.outputTokens }, (_, i) => token(api, `t${i}`));
  return [opening(api, id), ...tokens, ending(api, counts, id)].join('');
}

export function openEvents({ response }: FakeRequest): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
}

/** Answers as the request asks for: as a stream, or in one piece. */
export function answerOther(api: OtherApi, request: FakeRequest, counts: Counts, id = 'resp_1'): void {
  const { stream } = JSON.parse(request.body) as { stream?: boolean };
  if (stream === true) {
    openEvents(request);
    request.response.end(streamOf(api, counts, id));
    return;
  }
  const text = Array.from({ length: counts.outputTokens }, (_, i) => `t${i}`).join('');
  const common = { id, model: 'fake', usage: usageOf(api, counts) };
  const body =
    api === 'responses'
      ? {
          ...common,
          object: 'response',
          status: 'completed',
          output: [{ type: 'message', content: [{ type: 'output_text', text }] }],
        }
      : { ...common, type: 'message', role: 'assistant', content: [{ type: 'text', text }], stop_reason: 'end_turn' };
  replyJson(request.response, 200, body);
}

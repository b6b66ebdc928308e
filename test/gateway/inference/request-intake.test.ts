import { describe, expect, it } from 'vitest';
import {
  cacheSaltLengthMax,
  choicesMax,
  type InferenceApi,
  type InferenceRequest,
  messagesMax,
  readInferenceRequest,
} from '../../../src/gateway/inference/request-intake.ts';
import { JsonText } from '../../../src/tokens/exact-json.ts';
import { RequestError } from '../../../src/wire/openai-error.ts';

const readText = (api: InferenceApi, text: string): InferenceRequest => {
  const request = readInferenceRequest(api, Buffer.from(text), () => Promise.reject(new Error('read in turns')));
  if (request instanceof Promise) throw new Error('not read at once');
  return request;
};
const read = (api: InferenceApi, body: unknown): InferenceRequest => readText(api, JSON.stringify(body));

/** The chat of a request, with its JSON texts parsed. */
function chatOf(body: unknown): Record<string, unknown> {
  const [prompt] = read('chat', body).prompts;
  if (prompt?.kind !== 'chat') throw new Error('no chat');
  const texts = Object.entries(prompt.chat).map(([name, value]) => [
    name,
    value instanceof JsonText ? (JSON.parse(value.text) as unknown) : value,
  ]);
  return Object.fromEntries(texts) as Record<string, unknown>;
}

function refusal(api: InferenceApi, body: unknown): Pick<RequestError, 'status' | 'param'> {
  try {
    read(api, body);
  } catch (error) {
    if (error instanceof RequestError) return { status: error.status, param: error.param };
    throw error;
  }
  throw new Error('accepted');
}

describe('readInferenceRequest', () => {
  it('reads the four forms of a completions prompt', () => {
    const forms = [
      ['one', [{ kind: 'text', text: 'one', addSpecialTokens: true }]],
      [['one', 'two'], ['one', 'two'].map((text) => ({ kind: 'text', text, addSpecialTokens: true }))],
      [[1, 2, 4294967295], [{ kind: 'tokens', tokens: Uint32Array.of(1, 2, 4294967295) }]],
      [
        [[1], [2, 3]],
        [
          { kind: 'tokens', tokens: Uint32Array.of(1) },
          { kind: 'tokens', tokens: Uint32Array.of(2, 3) },
        ],
      ],
    ] as const;
    for (const [prompt, prompts] of forms) expect(read('completions', { prompt }).prompts).toEqual(prompts);
  });

  it('treats null as absent, and knows the defaults', () => {
    const request = read('completions', {
      model: null,
      prompt: 'x',
      n: null,
      stream: null,
      max_tokens: null,
      cache_salt: null,
    });
    expect(request).toMatchObject({ model: null, sequences: 1, stream: false, maxOutputTokens: 16, cacheSalt: null });
    expect(read('chat', { messages: [{ role: 'user' }] }).maxOutputTokens).toBe(null);
  });

  it('prefers max_completion_tokens in chat', () => {
    const messages = [{ role: 'user', content: 'x' }];
    expect(read('chat', { messages, max_tokens: 7 }).maxOutputTokens).toBe(7);
    expect(read('chat', { messages, max_tokens: 7, max_completion_tokens: 5 }).maxOutputTokens).toBe(5);
  });

  it('keeps the fields of a chat that its template may read', () => {
    const messages = [{ role: 'user', content: [{ type: 'text', text: 'x' }], name: 'n' }];
    const tools = [{ type: 'function' }];
    expect(chatOf({ messages, tools, chat_template_kwargs: { think: true } })).toMatchObject({
      messages,
      tools,
      addGenerationPrompt: true,
      chatTemplateKwargs: { think: true },
    });
  });

  it('reads everything else that changes the prompt of a chat', () => {
    const messages = [{ role: 'user', content: 'x' }];
    expect(chatOf({ messages })).toMatchObject({
      addSpecialTokens: false,
      continueFinalMessage: false,
      chatTemplate: null,
      chatTemplateKwargs: null,
    });
    const chat = chatOf({
      messages,
      add_special_tokens: true,
      continue_final_message: true,
      chat_template: '{{ x }}',
      mm_processor_kwargs: { y: 1 },
      chat_template_kwargs: { think: true },
      documents: [{ title: 't' }],
      reasoning_effort: 'low',
    });
    expect(chat).toMatchObject({
      addSpecialTokens: true,
      continueFinalMessage: true,
      chatTemplate: '{{ x }}',
      mmProcessorKwargs: { y: 1 },
      chatTemplateKwargs: {
        think: true,
        documents: [{ title: 't' }],
        reasoning_effort: 'low',
        enable_thinking: true,
      },
    });
  });

  it('reads truncation of a completions prompt, and embeddings', () => {
    expect(read('completions', { prompt: 'x' }).truncatedTo).toBe(null);
    expect(read('completions', { prompt: 'x', truncate_prompt_tokens: 7 }).truncatedTo).toBe(7);
    expect(read('completions', { prompt: 'x', truncate_prompt_tokens: -1 }).truncatedTo).toBe('context');
    const embedded = { kind: 'embeddings', bytes: 4 };
    expect(read('completions', { prompt_embeds: 'AAAA' }).prompts).toEqual([embedded]);
    expect(read('completions', { prompt: '', prompt_embeds: ['AAAA', 'AAAA'] }).prompts).toEqual([embedded, embedded]);
    expect(read('completions', { prompt: [1], prompt_embeds: 'AAAA' }).prompts).toMatchObject([
      embedded,
      { kind: 'tokens' },
    ]);
  });

  it.each<[boolean, InferenceApi, object]>([
    [false, 'completions', {}],
    [true, 'completions', { prompt_logprobs: 0 }],
    [false, 'completions', { echo: true }],
    [true, 'completions', { echo: true, logprobs: 0 }],
    [false, 'completions', { logprobs: 3 }],
    [true, 'chat', { prompt_logprobs: 1 }],
    [true, 'chat', { echo: true }],
    [false, 'chat', { logprobs: true, top_logprobs: 3 }],
  ])('%s: an engine computes all of a %s prompt with %j', (recomputed, api, more) => {
    const prompt = api === 'chat' ? { messages: [{ role: 'user', content: 'x' }] } : { prompt: 'x' };
    expect(read(api, { ...prompt, ...more }).recomputed).toBe(recomputed);
  });

  it.each([
    ['completions', {}, 'prompt'],
    ['completions', { prompt: [] }, 'prompt'],
    ['completions', { prompt: {} }, 'prompt'],
    ['completions', { prompt: ['a', 1] }, 'prompt[1]'],
    ['completions', { prompt: [1, 'a'] }, 'prompt[1]'],
    ['completions', { prompt: [1, -1] }, 'prompt[1]'],
    ['completions', { prompt: [1, 0.5] }, 'prompt[1]'],
    ['completions', { prompt: [[1], []] }, 'prompt[1]'],
    ['completions', { prompt: [[1], [2, 2 ** 32]] }, 'prompt[1][1]'],
    ['completions', { prompt: 'x', n: choicesMax + 1 }, 'n'],
    ['completions', { prompt: ['x', 'y'], n: choicesMax }, 'n'],
    ['completions', { prompt: Array.from({ length: choicesMax + 1 }, () => 'x') }, 'prompt'],
    ['completions', { prompt: 'x', cache_salt: 1 }, 'cache_salt'],
    ['completions', { prompt: 'x', cache_salt: 's'.repeat(cacheSaltLengthMax + 1) }, 'cache_salt'],
    ['completions', { prompt: 'x', model: 'm'.repeat(1025) }, 'model'],
    ['completions', { prompt: 'x', truncate_prompt_tokens: -2 }, 'truncate_prompt_tokens'],
    ['chat', { messages: [] }, 'messages'],
    ['chat', { messages: ['x'] }, 'messages[0]'],
    ['chat', { messages: Array.from({ length: messagesMax + 1 }, () => 0) }, 'messages'],
    ['chat', { messages: [{ role: 'user' }, { role: 7 }] }, 'messages[1]'],
    ['chat', { messages: [{ role: 'user' }], tools: {} }, 'tools'],
    ['chat', { messages: [{ role: 'user' }], max_completion_tokens: 1.5 }, 'max_completion_tokens'],
    ['chat', { messages: [{ role: 'user' }], chat_template_kwargs: [] }, 'chat_template_kwargs'],
  ] as const)('refuses in %s %j: %s', (api, body, param) => {
    expect(refusal(api, body)).toEqual({ status: 400, param });
  });

  it('knows whether the model is named twice, and a priority at all', () => {
    const factsOf = (text: string): object => {
      const { repeatsModel, statesPriority } = readText('completions', text);
      return { repeatsModel, statesPriority };
    };
    expect(factsOf('{"prompt":"x","model":"a"}')).toEqual({ repeatsModel: false, statesPriority: false });
    expect(factsOf('{"model":"a","prompt":"x","\\u006dodel":"b","priority":null}')).toEqual({
      repeatsModel: true,
      statesPriority: true,
    });
  });

  it('refuses a body that is not a JSON object', () => {
    for (const body of ['', '{', 'null', '[]', '7']) {
      expect(() => readText('chat', body)).toThrow(RequestError);
    }
  });
});

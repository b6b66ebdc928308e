// The tokenizer that asks engines: its questions, its cache, and its failures.

import { afterEach, describe, expect, it, vi } from 'vitest';
import type { EngineAnswer } from '../../../src/gateway/engines/engine-probe.ts';
import { EngineTokenizer, type EngineTokenizerOptions } from '../../../src/gateway/prompts/engine-tokenizer.ts';
import { JsonText } from '../../../src/tokens/exact-json.ts';
import { LongText } from '../../../src/tokens/long-text.ts';
import { plainChat } from '../../../src/tokens/plain-chat.ts';
import type { ChatInput, EncodedChat, EncodeOptions } from '../../../src/tokens/tokenizer.ts';

const open: EngineTokenizer[] = [];
afterEach(async () => {
  // Not awaited: some tests have questions that never end.
  for (const tokenizer of open.splice(0)) void tokenizer.close();
});

type Ask = (kind: string, model: string, body: string, signal: AbortSignal) => Promise<EngineAnswer>;

interface Asked {
  readonly kind: string;
  readonly body: Record<string, unknown>;
}

interface Engines {
  readonly encode: (text: string, options?: EncodeOptions) => Uint32Array | Promise<Uint32Array>;
  readonly encodeChat: (chat: ChatInput) => EncodedChat | Promise<EncodedChat>;
  readonly tokenizer: EngineTokenizer;
  readonly asked: Asked[];
}

interface EngineOptions extends EngineTokenizerOptions {
  readonly ask?: Ask;
  readonly questionsMax?: () => number;
  readonly canAsk?: () => boolean;
}

/** An engine that returns text lengths as tokens, and its recorded questions. */
function engine({ ask: given, questionsMax = () => 32, canAsk = () => true, ...options }: EngineOptions = {}): Engines {
  const asked: Asked[] = [];
  const ask: Ask = async (kind, _model, body) => {
    asked.push({ kind, body: JSON.parse(body) as Record<string, unknown> });
    const { length } = body;
    return { status: 200, body: { count: 2, max_model_len: 10, tokens: [length, 7] } };
  };
  const asking = {
    ask: given ?? ask,
    canAsk,
    get questionsMax(): number {
      return questionsMax();
    },
  };
  const tokenizer = new EngineTokenizer(asking, options);
  open.push(tokenizer);
  return {
    encode: (text, encodeOptions) => tokenizer.encode('m', text, encodeOptions),
    encodeChat: (chat) => tokenizer.encodeChat('m', chat),
    tokenizer,
    asked,
  };
}

const answering = (status: number, body: unknown): Engines => engine({ ask: async () => ({ status, body }) });

/** Settles only when the signal aborts. */
const neverAnswering: Ask = (_kind, _model, _body, signal) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });

const plain = { messages: [{ role: 'user', content: 'Hi' }] };
const chat = plainChat(plain);

describe('questions', () => {
  it('have the fields that the engine expects', async () => {
    const { encode, encodeChat, asked } = engine();
    await encode('a');
    await encode('a', { addSpecialTokens: false });
    await encodeChat(chat);
    await encodeChat(plainChat({ ...plain, tools: [{}], addGenerationPrompt: false, chatTemplateKwargs: { x: 1 } }));
    expect(asked).toEqual([
      { kind: 'text', body: { model: 'm', prompt: 'a', add_special_tokens: true } },
      { kind: 'text', body: { model: 'm', prompt: 'a', add_special_tokens: false } },
      { kind: 'chat', body: { model: 'm', ...plain, add_generation_prompt: true, add_special_tokens: false } },
      {
        kind: 'chat',
        body: {
          model: 'm',
          ...plain,
          add_generation_prompt: false,
          add_special_tokens: false,
          tools: [{}],
          chat_template_kwargs: { x: 1 },
        },
      },
    ]);
  });

  it('are asked once for all callers, and then cached', async () => {
    const { encode, asked } = engine();
    const both = await Promise.all([encode('a'), encode('a'), encode('b')]);
    expect(both[0]).toBe(both[1]);
    expect(asked.length).toBe(2);
    expect(encode('a')).toBe(both[0]);
    expect(asked.length).toBe(2);
  });

  it('are asked again if the answer was evicted', async () => {
    const { encode, tokenizer, asked } = engine({ cacheBytesMax: 1200 });
    for (const text of ['a', 'b', 'c', 'c', 'a']) await encode(text);
    expect(asked.map(({ body }) => body['prompt'])).toEqual(['a', 'b', 'c', 'a']);
    expect(tokenizer.cacheBytes).toBeLessThanOrEqual(1200);
    expect(tokenizer.cacheBytes).toBeGreaterThan(600);
  });

  it('are asked again when the answers may be outdated', async () => {
    const { encode, tokenizer, asked } = engine();
    await encode('a');
    const late = encode('b');
    tokenizer.forget();
    await late;
    await encode('a');
    // The answer to an earlier question is not cached either.
    await encode('b');
    expect(asked.map(({ body }) => body['prompt'])).toEqual(['a', 'b', 'a', 'b']);
    expect(tokenizer.cacheBytes).toBeLessThan(2 * 1024);
  });

  it('contain everything that changes the prompt of a chat', async () => {
    const { encodeChat, asked } = engine();
    await encodeChat({
      ...chat,
      addGenerationPrompt: false,
      addSpecialTokens: true,
      continueFinalMessage: true,
      chatTemplate: JsonText.of('{{ x }}'),
      mmProcessorKwargs: JsonText.of({ y: 1 }),
    });
    expect(asked[0]!.body).toMatchObject({
      add_special_tokens: true,
      continue_final_message: true,
      chat_template: '{{ x }}',
      mm_processor_kwargs: { y: 1 },
    });
  });

  it('about an image are not asked', async () => {
    const { encodeChat, asked } = engine();
    const parts = [{ type: 'text', text: 'What?' }, { type: 'image_url' }];
    const encoded = await encodeChat(plainChat({ messages: [{ role: 'user', content: parts }] }));
    expect(encoded).toEqual({ ids: new Uint32Array(0), exact: false, restTokens: null, otherParts: 1 });
    expect((await encodeChat(plainChat({ messages: [{ role: 'user', content: parts.slice(0, 1) }] }))).exact).toBe(
      true,
    );
    expect(asked.length).toBe(1);
  });
});

describe('failures', () => {
  it('have codes, and are not cached', async () => {
    await expect(answering(404, null).encode('a')).rejects.toMatchObject({ code: 'engine-refused' });
    for (const body of [null, {}, { tokens: 'x' }, { tokens: [1.5] }, { tokens: [-1] }]) {
      await expect(answering(200, body).encode('a')).rejects.toMatchObject({ code: 'engine-answer-invalid' });
    }
    const missing = engine({ canAsk: () => false });
    expect(() => missing.encode('a')).toThrow(expect.objectContaining({ code: 'engine-missing' }));
    expect(() => missing.encodeChat(chat)).toThrow(expect.objectContaining({ code: 'engine-missing' }));
    let calls = 0;
    const { encode } = engine({
      ask: async () => {
        if (calls++ === 0) throw new Error('refused');
        return { status: 200, body: { tokens: [3] } };
      },
    });
    await expect(encode('a')).rejects.toMatchObject({ code: 'engine-unreachable' });
    expect(await encode('a')).toEqual(Uint32Array.of(3));
  });

  it('include a missing answer and too many questions', async () => {
    const late = engine({ ask: neverAnswering, timeoutMs: 20 });
    await expect(late.encode('a')).rejects.toMatchObject({ code: 'engine-unreachable' });
    const busy = engine({ ask: neverAnswering, questionsMax: () => 1, waitingMax: 0 });
    const first = expect(busy.encode('a')).rejects.toMatchObject({ code: 'closed' });
    await expect(busy.encode('b')).rejects.toMatchObject({ code: 'queue-full' });
    await busy.tokenizer.close();
    await first;
    await expect(busy.encode('a')).rejects.toMatchObject({ code: 'closed' });
  });
});

describe('more questions than allowed', () => {
  it('wait for their turn, in order', async () => {
    const answers: (() => void)[] = [];
    const asked: unknown[] = [];
    const ask: Ask = (_kind, _model, body) => {
      asked.push((JSON.parse(body) as { prompt: string }).prompt);
      return new Promise((resolve) => {
        answers.push(() => resolve({ status: 200, body: { tokens: [answers.length] } }));
      });
    };
    let openMax = 2;
    const { encode } = engine({ ask, questionsMax: () => openMax });
    const all = Promise.all(['a', 'b', 'c', 'd', 'e'].map((text) => encode(text)));
    await Promise.resolve();
    expect(asked).toEqual(['a', 'b']);
    openMax = 3;
    answers.shift()!();
    await vi.waitFor(() => expect(asked).toEqual(['a', 'b', 'c', 'd']));
    while (asked.length < 5 || answers.length > 0) {
      answers.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await all).length).toBe(5);
  });

  it('fail within their time limit', async () => {
    // An engine that ignores the abort too.
    const deaf: Ask = () => new Promise(() => undefined);
    const { encode } = engine({ ask: deaf, questionsMax: () => 1, timeoutMs: 20 });
    void encode('a');
    await expect(encode('b')).rejects.toMatchObject({ code: 'queue-full' });
  });

  it('does not ask about very long prompts', () => {
    const { tokenizer, asked } = engine();
    const text = 'x'.repeat(2 * 1024 * 1024 + 1);
    expect(() => tokenizer.encode('m', text)).toThrow(expect.objectContaining({ code: 'text-too-long' }));
    expect(() => tokenizer.encode('m', LongText.of(text))).toThrow(expect.objectContaining({ code: 'text-too-long' }));
    const messages = new JsonText(LongText.of(`["${text}"]`));
    const facts = { features: [], otherParts: 0 };
    expect(() => tokenizer.encodeChat('m', { messages, facts })).toThrow(
      expect.objectContaining({ code: 'text-too-long' }),
    );
    expect(asked).toEqual([]);
  });
});

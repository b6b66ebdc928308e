// The tokenizer that asks an engine: what it asks, what it remembers, and how it fails.

import { afterEach, describe, expect, it, vi } from 'vitest';
import { type AskEngine, EngineQuestions, type EngineQuestionsOptions } from '../../src/tokens/engine-questions.ts';
import { EngineTokenizer } from '../../src/tokens/engine-tokenizer.ts';
import { JsonText } from '../../src/tokens/exact-json.ts';
import { plainChat } from '../../src/tokens/plain-chat.ts';

const open: EngineQuestions[] = [];
afterEach(async () => {
  // Not waited for: some tests have questions that never end.
  for (const questions of open.splice(0)) void questions.close();
});

interface Asked {
  readonly path: string;
  readonly body: Record<string, unknown>;
}

/** An engine whose tokens are the lengths of what it was sent, and the questions it got. */
function engine({ ask: given, ...options }: EngineQuestionsOptions & { ask?: AskEngine } = {}): {
  tokenizer: EngineTokenizer;
  questions: EngineQuestions;
  asked: Asked[];
} {
  const asked: Asked[] = [];
  const ask: AskEngine = async (path, body) => {
    asked.push({ path, body: JSON.parse(body) as Record<string, unknown> });
    if (path === '/detokenize') return { status: 200, body: { prompt: 'text' } };
    const { length } = body;
    return { status: 200, body: { count: 2, max_model_len: 10, tokens: [length, 7] } };
  };
  const questions = new EngineQuestions(options);
  open.push(questions);
  return { tokenizer: new EngineTokenizer({ model: 'm', ask: given ?? ask, questions }), questions, asked };
}

const answering = (status: number, body: unknown): EngineTokenizer =>
  engine({ ask: async () => ({ status, body }) }).tokenizer;

/** Settles only when its signal aborts. */
const silent: AskEngine = (_path, _body, signal) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });

const plain = { messages: [{ role: 'user', content: 'Hi' }] };
const chat = plainChat(plain);

describe('questions', () => {
  it('are the fields that the engine takes', async () => {
    const { tokenizer, asked } = engine();
    await tokenizer.encode('a');
    await tokenizer.encode('a', { addSpecialTokens: false });
    await tokenizer.encodeChat(chat);
    await tokenizer.encodeChat(
      plainChat({ ...plain, tools: [{}], addGenerationPrompt: false, chatTemplateKwargs: { x: 1 } }),
    );
    expect(await tokenizer.decode([1, 2])).toBe('text');
    expect(asked).toEqual([
      { path: '/tokenize', body: { model: 'm', prompt: 'a', add_special_tokens: true } },
      { path: '/tokenize', body: { model: 'm', prompt: 'a', add_special_tokens: false } },
      { path: '/tokenize', body: { model: 'm', ...plain, add_generation_prompt: true, add_special_tokens: false } },
      {
        path: '/tokenize',
        body: {
          model: 'm',
          ...plain,
          add_generation_prompt: false,
          add_special_tokens: false,
          tools: [{}],
          chat_template_kwargs: { x: 1 },
        },
      },
      { path: '/detokenize', body: { model: 'm', tokens: [1, 2] } },
    ]);
  });

  it('are asked once, by all who want to know, and not again', async () => {
    const { tokenizer, asked } = engine();
    const both = await Promise.all([tokenizer.encode('a'), tokenizer.encode('a'), tokenizer.encode('b')]);
    expect(both[0]).toBe(both[1]);
    expect(asked.length).toBe(2);
    expect(tokenizer.encode('a')).toBe(both[0]);
    expect(asked.length).toBe(2);
  });

  it('whose answer was forgotten are asked again, within the bound', async () => {
    const { tokenizer, questions, asked } = engine({ cacheBytesMax: 1200 });
    for (const text of ['a', 'b', 'c', 'c', 'a']) await tokenizer.encode(text);
    expect(asked.map(({ body }) => body['prompt'])).toEqual(['a', 'b', 'c', 'a']);
    expect(questions.cacheBytes).toBeLessThanOrEqual(1200);
    expect(questions.cacheBytes).toBeGreaterThan(600);
  });

  it('are asked again when what was answered may not hold any more', async () => {
    const { tokenizer, questions, asked } = engine();
    await tokenizer.encode('a');
    const late = tokenizer.encode('b');
    questions.forget();
    await late;
    await tokenizer.encode('a');
    // An answer to what was asked before is not kept either.
    await tokenizer.encode('b');
    expect(asked.map(({ body }) => body['prompt'])).toEqual(['a', 'b', 'a', 'b']);
    expect(questions.cacheBytes).toBeLessThan(2 * 1024);
  });

  it('carry what changes the prompt of a chat', async () => {
    const { tokenizer, asked } = engine();
    await tokenizer.encodeChat({
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
    const { tokenizer, asked } = engine();
    const parts = [{ type: 'text', text: 'What?' }, { type: 'image_url' }];
    const encoded = await tokenizer.encodeChat(plainChat({ messages: [{ role: 'user', content: parts }] }));
    expect(encoded).toEqual({ ids: new Uint32Array(0), exact: false, restTokens: null, otherParts: 1 });
    expect(
      (await tokenizer.encodeChat(plainChat({ messages: [{ role: 'user', content: parts.slice(0, 1) }] }))).exact,
    ).toBe(true);
    expect(asked.length).toBe(1);
  });
});

describe('failures', () => {
  it('have codes, and are not remembered', async () => {
    await expect(answering(404, null).encode('a')).rejects.toMatchObject({ code: 'engine-refused' });
    for (const body of [null, {}, { tokens: 'x' }, { tokens: [1.5] }, { tokens: [-1] }]) {
      await expect(answering(200, body).encode('a')).rejects.toMatchObject({ code: 'engine-answer-invalid' });
    }
    await expect(answering(200, {}).decode([1])).rejects.toMatchObject({ code: 'engine-answer-invalid' });
    expect(() => answering(200, {}).renderChat(chat)).toThrow(
      expect.objectContaining({ code: 'chat-template-missing' }),
    );
    let calls = 0;
    const { tokenizer } = engine({
      ask: async () => {
        if (calls++ === 0) throw new Error('refused');
        return { status: 200, body: { tokens: [3] } };
      },
    });
    await expect(tokenizer.encode('a')).rejects.toMatchObject({ code: 'engine-unreachable' });
    expect(await tokenizer.encode('a')).toEqual(Uint32Array.of(3));
  });

  it('are an answer that does not come, and a question too many', async () => {
    const late = engine({ ask: silent, timeoutMs: 20 }).tokenizer;
    await expect(late.encode('a')).rejects.toMatchObject({ code: 'engine-unreachable' });
    const { tokenizer: busy, questions } = engine({ ask: silent, questionsMax: () => 1, waitingMax: 0 });
    const first = expect(busy.encode('a')).rejects.toMatchObject({ code: 'closed' });
    await expect(busy.encode('b')).rejects.toMatchObject({ code: 'queue-full' });
    await questions.close();
    await first;
    await expect(busy.encode('a')).rejects.toMatchObject({ code: 'closed' });
  });
});

describe('more questions than may be open', () => {
  it('wait for their turn, in order', async () => {
    const answers: (() => void)[] = [];
    const asked: unknown[] = [];
    const ask: AskEngine = (_path, body) => {
      asked.push((JSON.parse(body) as { prompt: string }).prompt);
      return new Promise((resolve) => {
        answers.push(() => resolve({ status: 200, body: { tokens: [answers.length] } }));
      });
    };
    let openMax = 2;
    const { tokenizer } = engine({ ask, questionsMax: () => openMax });
    const all = Promise.all(['a', 'b', 'c', 'd', 'e'].map((text) => tokenizer.encode(text)));
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

  it('give up within their time', async () => {
    // One that does not even mind being told to stop.
    const deaf: AskEngine = () => new Promise(() => undefined);
    const { tokenizer } = engine({ ask: deaf, questionsMax: () => 1, timeoutMs: 20 });
    void tokenizer.encode('a');
    await expect(tokenizer.encode('b')).rejects.toMatchObject({ code: 'queue-full' });
  });
});

// Large bodies are read by a thread: as they are read here, to the byte; and what happens when it dies.

import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { editedBody, wholeBody } from '../../../src/gateway/inference/body-edits.ts';
import { readMeasuredJson } from '../../../src/gateway/inference/measured-json.ts';
import { editedOr } from '../../../src/gateway/inference/read-request.ts';
import { type Reading, type ReadingTask, received } from '../../../src/gateway/inference/reading-messages.ts';
import {
  type BodySender,
  ReadingThread,
  type ReadingThreadOptions,
} from '../../../src/gateway/inference/reading-thread.ts';
import {
  type InferenceApi,
  type InferenceRequest,
  readInferenceRequest,
} from '../../../src/gateway/inference/request-intake.ts';
import type { PromptInput } from '../../../src/gateway/prompts/prompt-input.ts';
import type { JsonText } from '../../../src/tokens/exact-json.ts';
import { LongText } from '../../../src/tokens/long-text.ts';
import { limitPriority } from '../../../src/wire/limit-priority.ts';
import { RequestError } from '../../../src/wire/openai-error.ts';
import { modelSpan } from '../../../src/wire/rename-model.ts';
import { eventually } from '../../e2e/harness.ts';

const open: ReadingThread[] = [];
function thread(options: ReadingThreadOptions = {}): ReadingThread {
  const made = new ReadingThread(options);
  open.push(made);
  return made;
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()));
});

const stays: BodySender = { gone: false, whenGone: () => undefined };
const rights = { priorityMin: -1, priorityMax: 1, routing: false };
const permit = (priority: number): number => Math.min(1, Math.max(-1, priority));

/** The same with every text as a string, whatever holds it. */
function plain(request: InferenceRequest): object {
  const json = (text: JsonText | null | undefined): string | null => text?.text ?? null;
  const prompt = (given: PromptInput): object => {
    if (given.kind === 'text' || given.kind === 'written') return { ...given, text: given.text.toString() };
    if (given.kind !== 'chat') return given;
    const { chat, otherwise } = given;
    const texts = {
      messages: json(chat.messages),
      tools: json(chat.tools),
      chatTemplateKwargs: json(chat.chatTemplateKwargs),
      chatTemplate: json(chat.chatTemplate),
      mmProcessorKwargs: json(chat.mmProcessorKwargs),
    };
    return { ...given, chat: { ...chat, ...texts }, otherwise: otherwise === undefined ? null : prompt(otherwise) };
  };
  return { ...request, prompts: request.prompts.map(prompt) };
}

async function settled<Value>(work: () => Value | Promise<Value>): Promise<Value | { readonly refused: string }> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    return { refused: `${error.status} ${error.code} ${error.param} ${error.message}` };
  }
}

/** What the event loop would make of it. */
async function readHere(api: InferenceApi, body: Buffer): Promise<object> {
  const request = await readInferenceRequest(api, body, async () => undefined, true);
  const edited = editedBody(body, { ...request, api, rights, injectUsage: true });
  return {
    request: plain(request),
    body: wholeBody(edited).toString('latin1'),
    hidesUsage: edited.hidesUsage,
    modelAt: modelSpan(wholeBody(edited)),
  };
}

async function readThere(reader: ReadingThread, api: InferenceApi, body: Buffer): Promise<object | null> {
  const task = { kind: 'inference', api, continues: true, rights, injectUsage: true } as const;
  const reading = await reader.read(task, body, stays);
  if (reading === null) return null;
  const { edited, hidesUsage, modelAt } = reading;
  return {
    request: plain(received(reading.request, body)),
    body: editedOr(body, edited).toString('latin1'),
    hidesUsage,
    modelAt,
  };
}

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 30 }),
  fc.constantFrom('x'.repeat(3000), 'é\n'.repeat(2000), '🙂"\\ '.repeat(900), '"model":'),
);
const messages = fc.array(
  fc.record(
    {
      role: fc.constantFrom('user', 'assistant', 'system', 'tool'),
      content: fc.oneof(
        text,
        fc.constant([
          { type: 'text', text: 'part' },
          { type: 'image_url', image_url: 'data:x' },
        ]),
      ),
      reasoning_content: text,
    },
    { requiredKeys: ['role'] },
  ),
  { maxLength: 4 },
);
const common = {
  model: fc.constantFrom('m', 'ä', 7, null, 'n'.repeat(2000)),
  stream: fc.boolean(),
  stream_options: fc.constantFrom(null, {}, { include_usage: false }, 7),
  priority: fc.constantFrom(-5, 0, 5, null, 'high'),
  prompt_cache_key: text,
  cache_salt: text,
  chat_template_kwargs: fc.constantFrom(null, { enable_thinking: true }, { 10: 1.0, a: 'ü'.repeat(1500) }),
  documents: fc.constantFrom(null, [{ text: 'd'.repeat(1200) }]),
  reasoning_effort: fc.constantFrom(null, 'low', 'none'),
  tools: fc.constantFrom(
    null,
    [],
    [{ type: 'function', function: { name: 'f', parameters: { n: 12345678901234567890n.toString() } } }],
  ),
  n: fc.constantFrom(null, 1, 2),
};
const prompt = fc.oneof(
  text,
  fc.array(fc.nat(), { minLength: 1, maxLength: 9 }),
  fc.array(text, { minLength: 1, maxLength: 4 }),
  fc.array(fc.array(fc.nat(), { minLength: 1 }), { minLength: 1, maxLength: 3 }),
);
const ofApi: Record<InferenceApi, fc.Arbitrary<object>> = {
  chat: fc.record({ messages, ...common }, { requiredKeys: ['messages'] }),
  completions: fc.record(
    { prompt, prompt_embeds: fc.constantFrom(null, 'e'.repeat(5000)), ...common },
    { requiredKeys: [] },
  ),
  responses: fc.record({ input: fc.oneof(text, messages), instructions: text, ...common }, { requiredKeys: ['input'] }),
  messages: fc.record(
    { messages, system: text, metadata: fc.constantFrom(null, { user_id: 'u' }), ...common },
    { requiredKeys: ['messages'] },
  ),
};

describe('a body that a thread reads', () => {
  it.each(Object.keys(ofApi) as InferenceApi[])(
    'is read as here: %s',
    async (api) => {
      const reader = thread();
      await fc.assert(
        fc.asyncProperty(ofApi[api], fc.nat(12), async (given, cut) => {
          const whole = JSON.stringify(given);
          // Now and then one that ends too early.
          const body = Buffer.from(cut === 0 ? whole.slice(0, -2) : whole);
          expect(await settled(() => readThere(reader, api, body))).toEqual(await settled(() => readHere(api, body)));
        }),
        { numRuns: 150 },
      );
    },
    60_000,
  );

  it('may have bytes that are not UTF-8, and a repeated model', async () => {
    const reader = thread();
    for (const content of [Buffer.from([0xff, 0xc3]), Buffer.from('é'.repeat(2000)), Buffer.from('a'.repeat(5000))]) {
      const body = Buffer.concat([
        Buffer.from('{"model":"a","model":"b","messages":[{"role":"user","content":"'),
        content,
        Buffer.from('"}]}'),
      ]);
      expect(await readThere(reader, 'chat', body)).toEqual(await readHere('chat', body));
    }
  });

  it('is measured as here', async () => {
    const reader = thread();
    const value = fc.oneof(text, fc.array(text), fc.array(fc.nat()), fc.constantFrom(null, 7, 1.5, 'data:x'));
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.constantFrom('model', 'input', 'query', 'documents', 'priority'), value),
        async (given) => {
          const body = Buffer.from(' '.repeat(140_000) + JSON.stringify(given));
          const there = await reader.read({ kind: 'measured', contentType: 'application/json', rights }, body, stays);
          const here = await readMeasuredJson(body, 'application/json', async () => undefined);
          expect(there?.reading).toEqual(here);
          if (here.kind === 'wrong') return;
          const limited = limitPriority(body, permit);
          expect(editedOr(body, there!.edited).equals(limited)).toBe(true);
          expect(there!.modelAt).toEqual(modelSpan(limited));
        },
      ),
      { numRuns: 100 },
    );
    const form = await reader.read({ kind: 'measured', contentType: 'text/plain', rights }, Buffer.from('{}'), stays);
    expect(form?.reading.kind).toBe('wrong');
  }, 60_000);

  it('keeps long ASCII texts as part of its own memory', async () => {
    const body = Buffer.from(JSON.stringify({ messages: [{ role: 'user', content: 'x'.repeat(5000) }] }));
    const task = { kind: 'inference', api: 'chat', continues: false, rights, injectUsage: false } as const;
    const reading = await thread().read(task, body, stays);
    const [prompt] = received(reading!.request, body).prompts;
    const written = prompt?.kind === 'chat' ? prompt.chat.messages.written : null;
    expect(written).toBeInstanceOf(LongText);
    expect((written as LongText).bytes.buffer).toBe(body.buffer);
  });
});

const task: ReadingTask = { kind: 'measured', contentType: 'application/json', rights };
const reading: Reading = { kind: 'measured', reading: { kind: 'wrong', message: 'read' }, edited: null, modelAt: null };

/** A thread that never answers, dies, or answers at once, as the body says. */
const script = `
import { parentPort } from 'node:worker_threads';
let body = '';
parentPort.on('message', ({ kind, id, piece }) => {
  if (kind === 'piece') body = Buffer.from(piece.bytes).toString();
  if (kind !== 'read' || body === 'hold') return;
  if (body === 'exit') process.exit(3);
  if (body === 'throw') throw new Error('thrown in the thread');
  parentPort.postMessage({ kind: 'read', id, reading: ${JSON.stringify(reading)} });
});`;
const entry = new URL(`data:text/javascript,${encodeURIComponent(script)}`);

describe('the thread that reads', () => {
  it.each(['exit', 'throw'])('fails what it has when it ends by %s, and the next body gets a new one', async (how) => {
    const deaths: string[] = [];
    const reader = thread({ entry, onDeath: (reason) => deaths.push(reason) });
    const held = reader.read(task, Buffer.from('hold'), stays);
    held.catch(() => undefined);
    await expect(reader.read(task, Buffer.from(how), stays)).rejects.toMatchObject({
      status: 503,
      code: 'body_unread',
    });
    await expect(held).rejects.toMatchObject({ status: 503 });
    expect(deaths).toHaveLength(1);
    expect(await reader.read(task, Buffer.from('x'), stays)).toEqual(reading);
  });

  it('is given up when it answers nothing, and the next body gets a new one', async () => {
    const deaths: string[] = [];
    const reader = thread({ entry, silenceMsMax: 300, onDeath: (reason) => deaths.push(reason) });
    const stuck = [reader.read(task, Buffer.from('hold'), stays), reader.read(task, Buffer.from('hold'), stays)];
    for (const one of stuck) await expect(one).rejects.toMatchObject({ status: 503, code: 'body_unread' });
    expect(deaths).toEqual(['it answers nothing']);
    // On a busy machine a thread may take longer to start than it may be silent here.
    const read = (): Promise<Reading | null> => reader.read(task, Buffer.from('x'), stays).catch(() => null);
    await eventually(async () => (await read()) !== null, 30_000);
  });

  it("that can't start fails its bodies", async () => {
    const reader = thread({ entry: new URL('file:///nowhere.js') });
    await expect(reader.read(task, Buffer.alloc(3_000_000, 'x'), stays)).rejects.toMatchObject({ status: 503 });
  });

  it('gives up the body of a client that goes', async () => {
    const reader = thread({ entry });
    let leave = (): void => undefined;
    const goes: BodySender = {
      gone: false,
      whenGone: (callback) => {
        leave = callback;
      },
    };
    const held = reader.read(task, Buffer.from('hold'), goes);
    leave();
    expect(await held).toBeNull();
    expect(await reader.read(task, Buffer.from('x'), stays)).toEqual(reading);
  });

  it('ends when it is idle, without a death, and starts again', async () => {
    const deaths: string[] = [];
    const reader = thread({ entry, idleMsMax: 1, onDeath: (reason) => deaths.push(reason) });
    for (let round = 0; round < 3; round++) {
      expect(await reader.read(task, Buffer.from('x'), stays)).toEqual(reading);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(deaths).toEqual([]);
  });

  it('takes nothing after its end', async () => {
    const reader = thread({ entry });
    const held = reader.read(task, Buffer.from('hold'), stays);
    held.catch(() => undefined);
    await reader.close();
    await expect(held).rejects.toMatchObject({ status: 503 });
    await expect(reader.read(task, Buffer.from('x'), stays)).rejects.toMatchObject({ status: 503 });
  });
});

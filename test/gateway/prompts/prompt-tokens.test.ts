import { describe, expect, it } from 'vitest';
import {
  type InferenceApi,
  type InferenceRequest,
  readInferenceRequest,
} from '../../../src/gateway/inference/request-intake.ts';
import type { PromptContent } from '../../../src/gateway/prompts/prompt-content.ts';
import { readContents } from '../../../src/gateway/prompts/prompt-tokens.ts';
import type { Json } from '../../../src/tokens/json-values.ts';
import { type Tokenizer, TokenizerError } from '../../../src/tokens/tokenizer.ts';

const read = (api: InferenceApi, body: object) =>
  (readInferenceRequest(api, Buffer.from(JSON.stringify(body)), fail) as InferenceRequest).prompts;

/** One token per character; with `later` it returns promises and refuses chats. */
function tokenizer(later: boolean): Tokenizer {
  const encode = (text: string): Uint32Array => Uint32Array.from(text, (character) => character.charCodeAt(0));
  return {
    name: 'characters',
    vocabSize: 65_536,
    encode: (text) => (later ? Promise.resolve(encode(text.toString())) : encode(text.toString())),
    decode: (ids) => String.fromCharCode(...Array.from(ids)),
    renderChat: () => ({ text: '', exact: true }),
    encodeChat: ({ messages }) => {
      const error = new TokenizerError('chat-template-refused', 'no', 'messages');
      if (later) return Promise.reject(error);
      const list = messages.value as Json[];
      if (list.length > 1) throw error;
      return { ids: encode(messages.text), exact: true };
    },
    close: () => Promise.resolve(),
  };
}

const chat = { messages: [{ role: 'user', content: 'abc' }] };
const longChat = { messages: [...chat.messages, { role: 'assistant', content: 'd' }] };

describe('readContents', () => {
  it('returns tokens at once if the tokenizer does', () => {
    const contents = readContents(read('completions', { prompt: ['ab', 'c'] }), tokenizer(false), fail);
    expect(contents).toEqual([tokens(97, 98), tokens(99)]);
    const [content] = readContents(read('chat', chat), tokenizer(false), fail) as PromptContent[];
    expect(content).toEqual(tokens(...Buffer.from(JSON.stringify(chat.messages))));
  });

  it('waits for tokens from an asynchronous tokenizer', async () => {
    const contents = readContents(read('completions', { prompt: ['ab', 'c'] }), tokenizer(true), fail);
    expect(contents).toBeInstanceOf(Promise);
    expect(await contents).toEqual([tokens(97, 98), tokens(99)]);
  });

  it('reads very many prompts in turns, and waits for all of them', async () => {
    const prompt = Array.from({ length: 100 }, (_, index) => `x${index}`);
    for (const later of [false, true]) {
      const contents = readContents(read('completions', { prompt }), tokenizer(later), fail);
      expect(contents).toBeInstanceOf(Promise);
      expect(await contents).toEqual(prompt.map((text) => tokens(...Buffer.from(text))));
    }
  });

  it('uses token ids unchanged, with and without a tokenizer', () => {
    for (const given of [tokenizer(true), null]) {
      expect(readContents(read('completions', { prompt: [[7, 8], [9]] }), given, fail)).toMatchObject([
        tokens(7, 8),
        tokens(9),
      ]);
    }
  });

  it('falls back to bytes, and reports it, if the tokenizer fails now or later', async () => {
    for (const later of [false, true]) {
      const codes: string[] = [];
      const contents = await readContents(read('chat', longChat), tokenizer(later), ({ code }) => codes.push(code));
      expect(contents).toMatchObject([{ kind: 'bytes' }]);
      expect(codes).toEqual(['chat-template-refused']);
    }
  });

  it('without a tokenizer gives chats with equal beginnings equal leading bytes', async () => {
    const bytesOf = async (body: object): Promise<string> => {
      const [content] = await readContents(read('chat', body), null, fail);
      return content!.kind === 'bytes' ? Buffer.from(content!.bytes).toString() : 'tokens';
    };
    const short = await bytesOf(chat);
    expect((await bytesOf(longChat)).startsWith(short)).toBe(true);
    expect(await bytesOf({ ...chat, tools: [{ a: 1 }] })).not.toBe(short);
  });
});

function tokens(...ids: number[]) {
  return { kind: 'tokens' as const, tokens: Uint32Array.from(ids) };
}

function fail(error?: TokenizerError): never {
  throw error ?? new Error('a body as short as this is read at once');
}

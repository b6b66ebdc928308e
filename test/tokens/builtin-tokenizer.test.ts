// The built-in tokenizer: round trips, chat, malformed input, hostile input.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BuiltinTokenizer, loadBuiltinTokenizer, loadVocabulary } from '../../src/tokens/builtin-tokenizer.ts';
import { plainChat } from '../../src/tokens/plain-chat.ts';

const tokenizer = await loadBuiltinTokenizer();

describe('encode and decode', () => {
  it('returns the ids that OpenAI documents', () => {
    expect(Array.from(tokenizer.encode('tiktoken is great!'))).toEqual([83, 1609, 5963, 374, 2294, 0]);
    expect(tokenizer.encode('')).toEqual(new Uint32Array(0));
    expect(tokenizer.name).toBe('builtin:cl100k_base');
  });

  it('decodes to every well-formed text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        const ids = tokenizer.encode(text);
        expect(tokenizer.decode(ids)).toBe(text);
        expect(ids.every((id) => id < tokenizer.vocabSize)).toBe(true);
      }),
      { numRuns: 2000, seed: 6 },
    );
    const text = '\ufeff<|im_start|>user\n👩🏽‍💻<|im_end|>';
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  it('treats lone surrogates as U+FFFD, and a split pair as two of them', () => {
    expect(tokenizer.encode('a\ud83d b')).toEqual(tokenizer.encode('a\ufffd b'));
    expect(tokenizer.encode('\udc00\ud800')).toEqual(tokenizer.encode('\ufffd\ufffd'));
  });

  it('decodes invalid UTF-8 to U+FFFD', () => {
    const half = tokenizer.encode('é').length === 1 ? tokenizer.encode('\u{1f9ff}').subarray(0, 1) : [];
    expect(tokenizer.decode(half)).toBe('\ufffd');
    expect(tokenizer.decode([100_261, 4_000_000, 64])).toBe('\ufffd\ufffda');
    expect(tokenizer.decode([...half, 100_265])).toBe('\ufffd<|im_end|>');
  });

  it('has no BOS: special tokens are never added', () => {
    expect(tokenizer.encode('a', { addSpecialTokens: true })).toEqual(
      tokenizer.encode('a', { addSpecialTokens: false }),
    );
  });

  it('is loaded once per process', async () => {
    expect(await loadBuiltinTokenizer()).toBe(tokenizer);
    await tokenizer.close();
    expect(tokenizer.encode('still here').length).toBe(2);
  });
});

describe('a megabyte without a break', () => {
  const million = 1_000_000;
  it.each([
    ['one letter', 'a'.repeat(million)],
    ['one sign', '='.repeat(million)],
    ['blanks', ' '.repeat(million)],
    ['newlines', '\n'.repeat(million)],
    ['blanks before a letter', `${' '.repeat(million)}x`],
    ['digits', '7'.repeat(million)],
    [
      'pseudo-random letters',
      Array.from({ length: million }, (_, at) => String.fromCharCode(97 + ((at * at) % 26))).join(''),
    ],
    ['ideographs', '語彙'.repeat(million / 6)],
    ['openings of added tokens', '<|'.repeat(million / 2)],
    ['added tokens', '<|im_end|>'.repeat(million / 10)],
  ])('of %s is tokenized', { timeout: 30_000 }, async (_kind, text) => {
    const ids = tokenizer.encode(text);
    expect(tokenizer.decode(ids) === text).toBe(true);
    // Its caches and scratch buffers are not affected.
    const fresh = new BuiltinTokenizer(await vocabulary);
    const sample = `${text.slice(0, 3000)} and so on`;
    expect(tokenizer.encode(sample)).toEqual(fresh.encode(sample));
  });
});

const vocabulary = loadVocabulary();

describe('chat', () => {
  it('is ChatML, with the start of an answer', () => {
    const chat = plainChat({
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Hi' },
      ],
    });
    const text = '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n';
    expect(tokenizer.renderChat(chat)).toEqual({ text, exact: true });
    const { ids, exact } = tokenizer.encodeChat(chat);
    expect(exact).toBe(true);
    expect(ids).toEqual(tokenizer.encode(text));
    expect(ids[0]).toBe(100_264);
  });

  it('shows tools and calls', () => {
    const { text } = tokenizer.renderChat(
      plainChat({
        messages: [
          { role: 'user', content: 'Weather?' },
          {
            role: 'assistant',
            content: null,
            tool_calls: [{ id: 'c1', type: 'function', function: { name: 'weather', arguments: '{"city":"Bern"}' } }],
          },
          { role: 'tool', content: 'sunny', tool_call_id: 'c1' },
        ],
        tools: [{ type: 'function', function: { name: 'weather' } }],
        addGenerationPrompt: false,
      }),
    );
    expect(text).toBe(
      [
        '<|im_start|>system',
        'Tools:',
        '{"type": "function", "function": {"name": "weather", "description": null, "parameters": null}}',
        '<|im_end|>',
        '<|im_start|>user',
        'Weather?<|im_end|>',
        '<|im_start|>assistant',
        '',
        '{"id": "c1", "function": {"arguments": {"city": "Bern"}, "name": "weather"}, "type": "function"}<|im_end|>',
        '<|im_start|>tool',
        'sunny<|im_end|>',
        '',
      ].join('\n'),
    );
  });

  it('ends before a part that is not text, after an added token', () => {
    const before = [{ role: 'user', content: 'Look at this.' }];
    const image = { type: 'image_url', image_url: { url: 'data:,' } };
    const chat = plainChat({
      messages: [
        ...before,
        { role: 'user', content: [{ type: 'text', text: 'What is it?' }, image] },
        { role: 'user', content: 'Well?' },
      ],
    });
    const prefix = '<|im_start|>user\nLook at this.<|im_end|>\n<|im_start|>';
    const rest = 'user\n\nWhat is it?<|im_end|>\n<|im_start|>user\nWell?<|im_end|>\n<|im_start|>assistant\n';
    expect(tokenizer.renderChat(chat)).toEqual({ text: prefix, exact: false, rest, otherParts: 1 });
    const whole = tokenizer.encodeChat(plainChat({ messages: [...before, { role: 'user', content: 'anything' }] }));
    const part = tokenizer.encodeChat(chat);
    const { length: restTokens } = tokenizer.encode(rest);
    expect(part).toMatchObject({ exact: false, restTokens, otherParts: 1 });
    expect(part.ids).toEqual(whole.ids.subarray(0, part.ids.length));
  });
});

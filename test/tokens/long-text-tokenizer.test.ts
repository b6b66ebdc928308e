// Long texts go to the thread, short ones do not, and the ids are equal.

import { afterAll, expect, it } from 'vitest';
import { loadBuiltinTokenizer } from '../../src/tokens/builtin-tokenizer.ts';
import { loadTokenizer } from '../../src/tokens/load-tokenizer.ts';
import { plainChat } from '../../src/tokens/plain-chat.ts';
import { byteLevel, tokenizerFolder } from './hugging-face-files.ts';

const inline = await loadBuiltinTokenizer();
const tokenizer = await loadTokenizer('builtin');
afterAll(() => tokenizer.close());

const long = 'Ein Satz mit Umlauten: äöü 123.\n<|im_end|>'.repeat(2000);

it('tokenizes up to 64 Ki characters at once', () => {
  expect(tokenizer.encode(long.slice(0, 65_536))).toEqual(inline.encode(long.slice(0, 65_536)));
  expect(tokenizer.encodeChat(plainChat({ messages: [{ role: 'user', content: 'Hi' }] }))).toMatchObject({
    exact: true,
  });
  expect(tokenizer.decode(inline.encode('Hi'))).toBe('Hi');
  expect(tokenizer).toMatchObject({ name: inline.name, vocabSize: inline.vocabSize });
});

it('passes longer texts to the thread, with the same ids', async () => {
  const promised = tokenizer.encode(long);
  expect(promised).toBeInstanceOf(Promise);
  expect(await promised).toEqual(inline.encode(long));
  const chat = plainChat({ messages: [{ role: 'user', content: long }] });
  const encoded = tokenizer.encodeChat(chat);
  expect(encoded).toBeInstanceOf(Promise);
  expect(await encoded).toEqual(inline.encodeChat(chat));
});

it('passes a text to the thread from 16 Ki characters on if its split pattern has no scanner', async () => {
  const split = { type: 'Split', pattern: { Regex: '\\p{L}+|\\P{L}+' }, behavior: 'Isolated', invert: false };
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const folder = tokenizerFolder({
    'tokenizer.json': {
      ...byteLevel([['a', 'b']]),
      pre_tokenizer: { type: 'Sequence', pretokenizers: [split, bytes] },
    },
  });
  const slow = await loadTokenizer(folder.path, { imagesPath: null });
  try {
    expect(slow.encode(long.slice(0, 16_384))).toBeInstanceOf(Uint32Array);
    const promised = slow.encode(long.slice(0, 16_385));
    expect(promised).toBeInstanceOf(Promise);
    expect((await promised).length).toBeGreaterThan(16_385);
  } finally {
    await slow.close();
    folder.remove();
  }
});

// Long texts reach the tokenizer's thread as bytes, in pieces: their ids are those of the same texts as strings.

import { afterAll, expect, it } from 'vitest';
import { loadBuiltinTokenizer } from '../../src/tokens/builtin-tokenizer.ts';
import { JsonText } from '../../src/tokens/exact-json.ts';
import { LongText } from '../../src/tokens/long-text.ts';
import { LongTextTokenizer } from '../../src/tokens/long-text-tokenizer.ts';
import { TokenizerTurn } from '../../src/tokens/tokenizer-turn.ts';

const inline = await loadBuiltinTokenizer();
const tokenizer = new LongTextTokenizer(inline, { kind: 'builtin' });
afterAll(() => tokenizer.close());

/** Characters of one to four bytes, so that the ends of pieces fall into characters. */
const unit = 'Ein Wort — 漢字 and 🙂 emoji, <|im_end|> 12345\n';
const long = unit.repeat(60_000);

it('a text of several pieces has the ids of the string', async () => {
  expect(Buffer.byteLength(long)).toBeGreaterThan(3 * 1024 * 1024);
  const ids = await tokenizer.encode(LongText.of(long));
  expect(Buffer.from(ids.buffer).equals(Buffer.from(inline.encode(long).buffer))).toBe(true);
}, 60_000);

it('lone surrogates are the replacement character, as they are inline', async () => {
  const text = `a\ud800b ${unit}`;
  expect(await tokenizer.encode(LongText.of(text))).toEqual(inline.encode(text));
});

it('a chat and its tools have the ids of the same chat as strings', async () => {
  const messages = JSON.stringify([{ role: 'user', content: unit.repeat(40_000) }]);
  const tools = JSON.stringify([{ type: 'function', function: { name: 'f', description: unit.repeat(100) } }]);
  const texts = (text: string): JsonText => new JsonText(LongText.of(text));
  const encoded = await tokenizer.encodeChat({ messages: texts(messages), tools: texts(tools) });
  const expected = inline.encodeChat({ messages: new JsonText(messages), tools: new JsonText(tools) });
  expect(encoded.exact).toBe(true);
  expect(Buffer.from(encoded.ids.buffer).equals(Buffer.from(expected.ids.buffer))).toBe(true);
}, 60_000);

it('a request that ends while its text crosses fails at once, and the next text is not harmed', async () => {
  const turn = new TokenizerTurn();
  const encoding = tokenizer.encode(LongText.of(long), { turn });
  turn.end();
  await expect(encoding).rejects.toMatchObject({ code: 'cancelled' });
  expect(await tokenizer.encode(LongText.of(unit))).toEqual(inline.encode(unit));
});

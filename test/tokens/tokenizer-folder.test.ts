import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/core/random.ts';
import { loadBuiltinTokenizer } from '../../src/tokens/builtin-tokenizer.ts';
import { huggingFaceClasses, space, tiktokenClasses } from '../../src/tokens/character-classes.ts';
import { loadTokenizer } from '../../src/tokens/load-tokenizer.ts';
import { plainChat } from '../../src/tokens/plain-chat.ts';
import type { Tokenizer } from '../../src/tokens/tokenizer.ts';
import { writeTokenizerFolder } from '../../src/tokens/tokenizer-folder.ts';
import { codeFiles, fuzzed } from './corpus.ts';
import { Oracle } from './hugging-face-oracle.ts';
import { languages } from './languages.ts';

const builtin = await loadBuiltinTokenizer();
const fuzzedStrings = 5000;

let folder: string;
let oracle: Oracle;
let ours: Tokenizer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kvoyant-tokenizer-'));
  await writeTokenizerFolder(folder, 4096);
  oracle = Oracle.fromFile(join(folder, 'tokenizer.json'));
  const notices: string[] = [];
  ours = await loadTokenizer(folder, { imagesPath: null, onNotice: (notice) => notices.push(notice) });
  expect(notices).toEqual([]);
}, 60_000);
afterAll(async () => {
  await ours.close();
  rmSync(folder, { recursive: true });
});

/** Texts whose ids differ with the written files. */
async function differences(texts: readonly string[]): Promise<string[]> {
  const encodings = await oracle.encodeBatch([...texts], { addSpecialTokens: true });
  const wrong: string[] = [];
  for (const [index, text] of texts.entries()) {
    const expected = Array.from(builtin.encode(text)).join();
    const byOurs = Array.from(await ours.encode(text)).join();
    if (encodings[index]!.getIds().join() !== expected || byOurs !== expected) wrong.push(text);
  }
  return wrong;
}

describe('the written tokenizer folder', () => {
  it("gives the builtin tokenizer's ids for languages, code and added tokens, in Rust and in our loader", async () => {
    const texts = Object.values(languages);
    texts.push(...texts.map((text) => text.toUpperCase()), ...codeFiles().map((file) => readFileSync(file, 'utf8')));
    texts.push("it'S I'Ll they'rE \u017ft'\u017f 12345678901 <|im_start|>a<|im_end|>\n<|endoftext|>", '', ' ', '\n \n');
    expect(await differences(texts)).toEqual([]);
  }, 60_000);

  it(`gives them for ${fuzzedStrings} fuzzed Unicode strings`, async () => {
    const random = new Random(30);
    const disputed = disputedCodePoints();
    const texts = Array.from({ length: fuzzedStrings }, () => fuzzed(random, disputed));
    expect(await differences(texts)).toEqual([]);
  }, 60_000);

  it('renders chats like the engines', async () => {
    const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }];
    const messages = [
      { role: 'system', content: 'be brief' },
      { role: 'user', content: ' hi \n' },
    ];
    for (const chat of [plainChat({ messages }), plainChat({ messages, tools })]) {
      expect((await ours.encodeChat(chat)).ids).toEqual((await builtin.encodeChat(chat)).ids);
    }
    const config = JSON.parse(readFileSync(join(folder, 'tokenizer_config.json'), 'utf8')) as object;
    expect(config).toMatchObject({ tokenizer_class: 'PreTrainedTokenizerFast', model_max_length: 4096 });
  });

  it('overwrites itself, and never other files', async () => {
    await writeTokenizerFolder(folder, 4096);
    const other = mkdtempSync(join(tmpdir(), 'kvoyant-tokenizer-'));
    writeFileSync(join(other, 'tokenizer.json'), '{}');
    await expect(writeTokenizerFolder(other, 4096)).rejects.toThrow(/tokenizer\.json exists with other content/);
    expect(readFileSync(join(other, 'tokenizer.json'), 'utf8')).toBe('{}');
    rmSync(other, { recursive: true });
  });
});

/** Letters and numbers in only one of two Unicode versions: the built-in tokenizer's and the Rust package's. */
function disputedCodePoints(): Set<number> {
  const [ones, others] = [tiktokenClasses(), huggingFaceClasses()];
  const isWhite = (codePoint: number): boolean => ones[codePoint] === space || others[codePoint] === space;
  return new Set(Array.from(ones.keys()).filter((at) => ones[at] !== others[at] && !isWhite(at)));
}

// Hugging Face tokenizers in the thread: ids, text, chat, and invalid files.

import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { HuggingFaceTokenizer } from '../../src/tokens/hugging-face-tokenizer.ts';
import { loadTokenizer } from '../../src/tokens/load-tokenizer.ts';
import { plainChat } from '../../src/tokens/plain-chat.ts';
import type { Tokenizer } from '../../src/tokens/tokenizer.ts';
import { readTokenizerFiles } from '../../src/tokens/tokenizer-files.ts';
import { byteLevel, type TokenizerFolder, tokenizerFolder, wordLevel } from './hugging-face-files.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

function folder(files: Readonly<Record<string, unknown>>): TokenizerFolder {
  const made = tokenizerFolder(files);
  cleanUps.push(() => made.remove());
  return made;
}

async function load(path: string): Promise<Tokenizer> {
  const tokenizer = await loadTokenizer(path, { imagesPath: null });
  cleanUps.push(() => tokenizer.close());
  return tokenizer;
}

const plain = { messages: [{ role: 'user', content: 'hello world' }] };
const chat = plainChat(plain);
const template = '{{ bos_token }}{% for m in messages %}<turn>{{ m.role }} {{ m.content }}{% endfor %}';

describe('ids', () => {
  it('of a word-level tokenizer, with and without its special tokens', async () => {
    const { path } = folder({ 'tokenizer.json': wordLevel });
    const tokenizer = await load(path);
    expect(tokenizer.name).toBe(join(path, 'tokenizer.json'));
    expect(tokenizer.vocabSize).toBe(6);
    expect(await tokenizer.encode('hello world')).toEqual(Uint32Array.of(0, 1, 2));
    expect(await tokenizer.encode('hello world', { addSpecialTokens: false })).toEqual(Uint32Array.of(1, 2));
    expect(await tokenizer.encode('hello<turn>other', { addSpecialTokens: false })).toEqual(Uint32Array.of(1, 5, 4));
    expect(await tokenizer.decode([])).toBe('');
  });

  it('of a byte-level BPE, encoded and decoded', async () => {
    const merges = [
      ['h', 'e'],
      ['l', 'l'],
      ['he', 'll'],
      ['Ġ', 'w'],
    ] as const;
    const tokenizer = await load(join(folder({ 'tokenizer.json': byteLevel(merges) }).path, 'tokenizer.json'));
    const ids = await tokenizer.encode('hell wé<|end|>');
    expect(Array.from(ids)).toEqual([258, 259, 0xc3, 0xa9, 260]);
    for (const text of ['hell wé<|end|>', ' 語 👩🏽‍💻 \n', 'a']) {
      expect(await tokenizer.decode(await tokenizer.encode(text))).toBe(text);
    }
  });
});

describe('chat', () => {
  const config = { bos_token: { content: '<s>' }, eos_token: '?', chat_template: template };

  it('uses the template of the configuration, without a second BOS', async () => {
    const tokenizer = await load(folder({ 'tokenizer.json': wordLevel, 'tokenizer_config.json': config }).path);
    expect(tokenizer.renderChat(chat)).toEqual({ text: '<s><turn>user hello world', exact: true });
    const { ids, exact } = await tokenizer.encodeChat(chat);
    expect(Array.from(ids)).toEqual([0, 5, 3, 1, 2]);
    expect(exact).toBe(true);
    const image = plainChat({ messages: [...plain.messages, { role: 'user', content: [{ type: 'image' }] }] });
    expect(Array.from((await tokenizer.encodeChat(image)).ids)).toEqual([0, 5, 3, 1, 2, 5]);
  });

  it('has a second BOS if requested', async () => {
    const { path } = folder({ 'tokenizer.json': wordLevel, 'tokenizer_config.json': config });
    const tokenizer = await load(path);
    const { ids } = await tokenizer.encodeChat(chat);
    const doubled = await tokenizer.encodeChat({ ...chat, addSpecialTokens: true });
    expect(Array.from(doubled.ids)).toEqual([0, ...ids]);
  });

  it('prefers chat_template.jinja, and the template for tools if there are tools', async () => {
    const named = [
      { name: 'default', template: 'plain' },
      { name: 'tool_use', template: 'tools' },
    ];
    const files = folder({ 'tokenizer.json': wordLevel, 'tokenizer_config.json': { ...config, chat_template: named } });
    const listed = await load(files.path);
    expect(listed.renderChat(chat).text).toBe('plain');
    expect(listed.renderChat(plainChat({ ...plain, tools: null })).text).toBe('plain');
    expect(listed.renderChat(plainChat({ ...plain, tools: [{ function: { name: 'f' } }] })).text).toBe('tools');
    files.write('chat_template.jinja', 'from the file');
    expect(
      (await load(files.path)).renderChat(plainChat({ ...plain, tools: [{ function: { name: 'f' } }] })).text,
    ).toBe('from the file');
  });

  it('without a template is refused, and text still works', async () => {
    const tokenizer = await load(folder({ 'tokenizer.json': wordLevel }).path);
    expect(() => tokenizer.renderChat(chat)).toThrow(expect.objectContaining({ code: 'chat-template-missing' }));
    await expect(tokenizer.encodeChat(chat)).rejects.toMatchObject({ code: 'chat-template-missing' });
    expect((await tokenizer.encode('hello')).length).toBe(2);
  });
});

describe('files', () => {
  it.each([
    ['a folder that is not there', {}, 'nowhere', 'tokenizer-missing'],
    ['a folder without tokenizer.json', {}, '', 'tokenizer-missing'],
    ['a file that is not there', {}, 'other.json', 'tokenizer-missing'],
    ['a file that is no JSON', { 'tokenizer.json': '{"model":' }, '', 'tokenizer-unsupported'],
    ['JSON that is no object', { 'tokenizer.json': '7' }, '', 'tokenizer-unsupported'],
    ['JSON that is no tokenizer', { 'tokenizer.json': '{}' }, '', 'tokenizer-unsupported'],
    [
      'an unknown kind of model',
      { 'tokenizer.json': { ...wordLevel, model: { type: 'Telepathy', vocab: { hello: 1 } } } },
      '',
      'tokenizer-unsupported',
    ],
    [
      'a configuration that is no JSON',
      { 'tokenizer.json': wordLevel, 'tokenizer_config.json': '{' },
      '',
      'tokenizer-unsupported',
    ],
    [
      'a chat template that does not parse',
      { 'tokenizer.json': wordLevel, 'chat_template.jinja': '{% for %}' },
      '',
      'chat-template-invalid',
    ],
  ])("%s fails with the file's name", async (_what, files, name, code) => {
    const { path } = folder(files);
    const failure = loadTokenizer(join(path, name), { imagesPath: null });
    await expect(failure).rejects.toMatchObject({ name: 'TokenizerError', code });
    if (code !== 'chat-template-invalid') await expect(failure).rejects.toThrow(path);
  });

  it('may have an invalid chat template, which is reported', async () => {
    const { path } = folder({ 'tokenizer.json': wordLevel, 'chat_template.jinja': '{% for %}' });
    const notices: string[] = [];
    const options = { imagesPath: null, templateOptional: true, onNotice: (notice: string) => notices.push(notice) };
    const tokenizer = await loadTokenizer(path, options);
    cleanUps.push(() => tokenizer.close());
    expect(notices.at(-1)).toMatch(/chat template .* is ignored: .*does not parse/);
    await expect(tokenizer.encodeChat(plainChat({ messages: [] }))).rejects.toMatchObject({
      code: 'chat-template-missing',
    });
  });

  it('may have a vocabulary that lacks parts of a text', async () => {
    const files = folder({ 'tokenizer.json': { ...wordLevel, model: { type: 'WordLevel', vocab: { hello: 1 } } } });
    const tokenizer = await load(files.path);
    await expect(tokenizer.encode('unheard')).rejects.toMatchObject({ code: 'tokenizer-failed' });
    expect(Array.from(await tokenizer.encode('hello'))).toEqual([0, 1]);
  });
});

it('takes at most as many texts as its queue allows', async () => {
  const { path } = folder({ 'tokenizer.json': wordLevel });
  const tokenizer = await HuggingFaceTokenizer.load(await readTokenizerFiles(path), () => undefined, {
    queuedTextsMax: 3,
  });
  cleanUps.push(() => tokenizer.close());
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => tokenizer.encode('hello')));
  expect(outcomes.map((outcome) => outcome.status)).toEqual([
    'fulfilled',
    'fulfilled',
    'fulfilled',
    'rejected',
    'rejected',
  ]);
});

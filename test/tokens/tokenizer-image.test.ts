// Images of tokenizers: cached and reused, never used if damaged or foreign, and never required.

import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type ByteLevel, loadByteLevel } from '../../src/tokens/byte-level-loader.ts';
import { cacheFolder, ImageFolder } from '../../src/tokens/image-folder.ts';
import { loadTokenizer } from '../../src/tokens/load-tokenizer.ts';
import { addedToken, byteLevel, tokenizerFolder, wordLevel } from './hugging-face-files.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

function emptyFolder(): string {
  const path = mkdtempSync(join(tmpdir(), 'kvoyant-images-'));
  cleanUps.push(() => rmSync(path, { recursive: true }));
  return path;
}

function fileOf(content: unknown): string {
  const folder = tokenizerFolder({ 'tokenizer.json': content });
  cleanUps.push(() => folder.remove());
  return join(folder.path, 'tokenizer.json');
}

const plain = byteLevel([
  ['h', 'e'],
  ['l', 'l'],
]);
const other = byteLevel([['l', 'l']]);

async function load(file: string, images: string): Promise<ByteLevel> {
  const loaded = await loadByteLevel(file, new ImageFolder(images));
  if (loaded.kind === 'other') throw new Error(loaded.reason);
  return loaded;
}

const ids = ({ bpe }: ByteLevel): number[] => Array.from(bpe.encode('hell<|end|>', true));

describe('an image', () => {
  it('is used at the next start, and gives the same tokenizer', async () => {
    const [file, images] = [fileOf(plain), emptyFolder()];
    const made = await load(file, images);
    const found = await load(file, images);
    expect([made.cached, found.cached]).toEqual([false, true]);
    expect(made.unkept).toBeNull();
    expect(found.image.spec).toEqual(made.image.spec);
    expect(found.image.tables).toEqual(made.image.tables);
    expect(ids(found)).toEqual([256, 257, 258]);
    expect(ids(found)).toEqual(ids(made));
    expect(found.bpe.vocabSize).toBe(259);
  });

  it('of another file is not used, even under this name', async () => {
    const images = emptyFolder();
    await load(fileOf(other), images);
    const [foreign] = readdirSync(images);
    const file = fileOf(plain);
    await load(file, images);
    const own = readdirSync(images).find((name) => name !== foreign)!;
    writeFileSync(join(images, own), readFileSync(join(images, foreign!)));
    const loaded = await load(file, images);
    expect(loaded.cached).toBe(false);
    expect(ids(loaded)).toEqual([256, 257, 258]);
  });

  it.each([
    ['emptied', () => Buffer.alloc(0)],
    ['cut in its head', (image: Buffer) => image.subarray(0, 60)],
    ['cut at its end', (image: Buffer) => image.subarray(0, image.length - 4)],
    ['longer', (image: Buffer) => Buffer.concat([image, Buffer.alloc(8)])],
    ['something else', () => Buffer.from('{"not": "an image"}'.repeat(50))],
    ['of another version', (image: Buffer) => withByte(image, 12, 99)],
    ['changed in its sum', (image: Buffer) => withByte(image, 20, image[20]! ^ 1)],
    ['changed in its head', (image: Buffer) => withByte(image, 70, image[70]! ^ 1)],
    ['changed in its tables', (image: Buffer) => withByte(image, image.length - 1, image.at(-1)! ^ 128)],
  ])('that is %s is built again', async (_how, spoil) => {
    const [file, images] = [fileOf(plain), emptyFolder()];
    await load(file, images);
    const path = join(images, readdirSync(images)[0]!);
    const good = readFileSync(path);
    writeFileSync(path, spoil(good));
    const loaded = await load(file, images);
    expect(loaded.cached).toBe(false);
    expect(ids(loaded)).toEqual([256, 257, 258]);
    expect(readFileSync(path).equals(good)).toBe(true);
  });
});

function withByte(image: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(image);
  changed[at] = value;
  return changed;
}

describe('the folder', () => {
  it("that can't be written is not used, and that is reported", async () => {
    const file = fileOf(plain);
    const notices: string[] = [];
    // A file is in the place of the folder.
    const tokenizer = await loadTokenizer(file, { imagesPath: file, onNotice: (notice) => notices.push(notice) });
    cleanUps.push(() => tokenizer.close());
    expect(Array.from(await tokenizer.encode('hell'))).toEqual([256, 257]);
    expect(notices.join()).toContain('could not be cached');
  });

  it('keeps the most recently used images', async () => {
    const images = emptyFolder();
    const oldest = fileOf(byteLevel([['o', 'l']]));
    await load(oldest, images);
    const [first] = readdirSync(images);
    for (let day = 1; day <= 16; day++) {
      utimesSync(join(images, first!), day, day);
      await load(fileOf(byteLevel([['a', String.fromCharCode(0x61 + day)]])), images);
    }
    const names = readdirSync(images);
    expect(names.length).toBe(16);
    expect(names).not.toContain(first);
    expect(names.every((name) => name.endsWith('.kvoyant-bpe'))).toBe(true);
  });

  it('is where the environment says', () => {
    expect(cacheFolder({ KVOYANT_CACHE: '/own', XDG_CACHE_HOME: '/xdg', HOME: '/home/u' })).toBe('/own');
    expect(cacheFolder({ XDG_CACHE_HOME: '/xdg', HOME: '/home/u' })).toBe(join('/xdg', 'kvoyant'));
    expect(cacheFolder({ HOME: '/home/u' })).toBe(join('/home/u', '.cache', 'kvoyant'));
    expect(cacheFolder({})).toBeNull();
  });
});

describe('a long text', () => {
  it('has the same ids from the thread, which uses the same image', async () => {
    const tokenizer = await loadTokenizer(fileOf(plain), { imagesPath: null });
    cleanUps.push(() => tokenizer.close());
    const promised = tokenizer.encode('hell<|end|> '.repeat(6000));
    expect(promised).toBeInstanceOf(Promise);
    const ids = await promised;
    expect(ids.length).toBe(24_000);
    expect(ids.subarray(4, 8)).toEqual(tokenizer.encode('hell<|end|> '));
  });
});

describe('a file of another kind', () => {
  const bpe = plain['model'] as Record<string, unknown>;
  const split = { type: 'Split', pattern: { Regex: 'a++' }, behavior: 'Isolated', invert: false };
  const bytes = { type: 'ByteLevel', add_prefix_space: false, use_regex: false };

  it.each([
    ['another model', wordLevel],
    ['another normalizer', { ...plain, normalizer: { type: 'NFKC' } }],
    ['another pre-tokenizer', { ...plain, pre_tokenizer: { type: 'Metaspace' } }],
    ['no pre-tokenizer', { ...plain, pre_tokenizer: null }],
    [
      'a pattern that has no translation',
      { ...plain, pre_tokenizer: { type: 'Sequence', pretokenizers: [split, bytes] } },
    ],
    [
      'another way to split',
      { ...plain, pre_tokenizer: { type: 'Sequence', pretokenizers: [{ ...split, behavior: 'Removed' }, bytes] } },
    ],
    [
      'a pattern that removes characters',
      {
        ...plain,
        pre_tokenizer: {
          type: 'Sequence',
          pretokenizers: [{ ...split, pattern: { Regex: 'a+' }, behavior: 'Removed', invert: true }, bytes],
        },
      },
    ],
    ['another post-processor', { ...plain, post_processor: { type: 'Surprise' } }],
    ['dropout', { ...plain, model: { ...bpe, dropout: 0.1 } }],
    ['byte fallback', { ...plain, model: { ...bpe, byte_fallback: true } }],
    ['suffixes', { ...plain, model: { ...bpe, end_of_word_suffix: '</w>' } }],
    ['a byte less', { ...plain, model: { ...bpe, vocab: { a: 0 }, merges: [] } }],
    ['a merge of no tokens', { ...plain, model: { ...bpe, merges: ['h e', 'x y'] } }],
    ['an id twice', { ...plain, model: { ...bpe, vocab: { ...(bpe['vocab'] as object), extra: 3 } } }],
    ['an added token under a strange id', { ...plain, added_tokens: [addedToken(300, '<x>')] }],
    ['an added token twice', { ...plain, added_tokens: [addedToken(258, '<x>'), addedToken(259, '<x>')] }],
    ['an added token without flags', { ...plain, added_tokens: [{ id: 258, content: '<x>' }] }],
  ])('by %s is left to the library', async (_what, file) => {
    expect((await loadByteLevel(fileOf(file), null)).kind).toBe('other');
  });

  it('is still loaded, and the reason is reported', async () => {
    const notices: string[] = [];
    const file = fileOf(wordLevel);
    const tokenizer = await loadTokenizer(file, { imagesPath: null, onNotice: (notice) => notices.push(notice) });
    cleanUps.push(() => tokenizer.close());
    expect(Array.from(await tokenizer.encode('hello'))).toEqual([0, 1]);
    expect(notices).toEqual([`${file} uses the library in a thread, which is slower: model.type is "WordLevel"`]);
  });
});

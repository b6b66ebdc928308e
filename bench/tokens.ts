// Bench of tokenizing a prompt of 7,000 tokens: our tokenizers, their twin in TypeScript, regexes, the Rust `tokenizers`
// package and js-tiktoken.

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { Tiktoken } from 'js-tiktoken/lite';
import cl100k from 'js-tiktoken/ranks/cl100k_base';
import { BuiltinTokenizer, loadVocabulary } from '../src/tokens/builtin-tokenizer.ts';
import { ByteLevelEncoder } from '../src/tokens/byte-level-encoder.ts';
import { bpeOfImage, loadByteLevel } from '../src/tokens/byte-level-loader.ts';
import { TokenMerges } from '../src/tokens/merges.ts';
import { builtinPattern, deepSeekPatterns } from '../src/tokens/split-patterns.ts';
import { makeSplitter } from '../src/tokens/text-splitter.ts';
import { TokenBuffer } from '../src/tokens/token-buffer.ts';
import type { TokenizerImage } from '../src/tokens/tokenizer-image.ts';
import type { Vocabulary } from '../src/tokens/vocabulary.ts';
import { environment, print, type Quantiles, quantiles } from './measure.ts';

const promptTokens = 7000;

/** Texts from the dependencies. Paths are relative to the project's root, where the bench is run. */
const corpora: Readonly<Record<string, { readonly folders: readonly string[]; readonly files: RegExp }>> = {
  English: { folders: ['undici/docs', 'pino/docs', 'openai', 'commander', 'msgpackr', 'fast-check'], files: /\.md$/ },
  code: { folders: ['zod/src/v4/core', 'zod/src/v4/classic', 'undici/lib', 'commander/lib'], files: /\.(ts|js)$/ },
  multilingual: { folders: ['zod/src/v4/locales', '@biomejs/biome'], files: /(\w\w|\w\w-\w\w)\.(ts|md)$/ },
};

/** Excludes long Base64 runs: the reference takes minutes, as its time grows with the square of a word's length. */
const longRuns = /wasm|tests/;

/** From the packages that only tests and benches use. `npm test` installs them. */
const llamaFile = join('test', 'node_modules', '@lenml', 'tokenizer-llama3_1', 'models', 'tokenizer.json');

/** The part of the Rust package that the bench uses. */
interface RustPackage {
  readonly Tokenizer: {
    fromFile(file: string): {
      encode(text: string, pair: null, options: { addSpecialTokens: boolean }): Promise<{ getIds(): number[] }>;
    };
  };
}

interface Contestant {
  readonly name: string;
  encode(text: string): ArrayLike<number> | Promise<ArrayLike<number>>;
}

/** Our tokenizer and another one, or another way of ours, with the same vocabulary. */
type Match = readonly [ours: Contestant, theirs: Contestant];

/** Consecutive prompts of 7,000 cl100k_base tokens, cut from a corpus. */
function promptsOf(kind: string, promptsMax: number, tokenizer: BuiltinTokenizer): string[] {
  const { folders, files } = corpora[kind]!;
  const paths = folders.flatMap((folder) => {
    const path = join('node_modules', folder);
    return readdirSync(path, { recursive: true, encoding: 'utf8' })
      .filter((name) => files.test(name) && !longRuns.test(name))
      .toSorted()
      .map((name) => join(path, name));
  });
  const ids = tokenizer.encode(paths.map((path) => readFileSync(path, 'utf8')).join('\n'));
  const prompts: string[] = [];
  for (let at = 0; at + promptTokens <= ids.length && prompts.length < promptsMax; at += promptTokens) {
    prompts.push(tokenizer.decode(ids.subarray(at, at + promptTokens)));
  }
  return prompts;
}

async function time({ encode }: Contestant, prompts: readonly string[]): Promise<Quantiles> {
  const samples = new Float64Array(prompts.length);
  for (const [index, prompt] of prompts.entries()) {
    const start = process.hrtime.bigint();
    await encode(prompt);
    samples[index] = Number(process.hrtime.bigint() - start) / 1000;
  }
  return quantiles(samples);
}

/** The encoder that the kernel replaced, and equals in tests: the same steps and tables in TypeScript. */
function twinOf(vocabulary: Vocabulary): Contestant {
  const encoder = new ByteLevelEncoder(vocabulary, new TokenMerges(vocabulary), makeSplitter([builtinPattern], false));
  const out = new TokenBuffer();
  return {
    name: 'cl100k, the twin in TypeScript',
    encode(text) {
      out.clear();
      encoder.append(text, out);
      return out.copyFrom(0);
    },
  };
}

/**
 * DeepSeek's series of split patterns, and the same in brackets, which no scanner recognizes. The vocabulary stays Llama
 * 3.1's: one file is enough for a bench.
 */
function splitsOfDeepSeek({ memory, spec, tables }: TokenizerImage): Match {
  const splitBy = (name: string, patterns: readonly string[]): Contestant => {
    const bpe = bpeOfImage({ memory, spec: { ...spec, patterns }, tables });
    return { name, encode: (text) => bpe.encode(text, false) };
  };
  const bracketed = deepSeekPatterns.map((pattern) => `(?:${pattern})`);
  return [splitBy("DeepSeek V3's splits, ours", deepSeekPatterns), splitBy('the same by regexes', bracketed)];
}

/** Creates the tokenizers anew, so that ours have empty caches. */
async function loadMatches(): Promise<() => Match[]> {
  const require = createRequire(resolve('test', 'package.json'));
  const { Tokenizer } = require('tokenizers') as RustPackage;
  const vocabulary = await loadVocabulary();
  const tiktoken = new Tiktoken(cl100k);
  const rust = Tokenizer.fromFile(llamaFile);
  const loaded = await loadByteLevel(llamaFile, null);
  if (loaded.kind === 'other') throw new Error(loaded.reason);
  return () => {
    const [builtin, anew] = [new BuiltinTokenizer(vocabulary), new BuiltinTokenizer(vocabulary)];
    const bpe = bpeOfImage(loaded.image);
    return [
      [
        { name: 'Llama 3.1, ours', encode: (text) => bpe.encode(text, false) },
        {
          name: 'Llama 3.1, tokenizers (Rust)',
          encode: async (text) => (await rust.encode(text, null, { addSpecialTokens: false })).getIds(),
        },
      ],
      [
        { name: 'cl100k, ours', encode: (text) => builtin.encode(text) },
        { name: 'cl100k, js-tiktoken', encode: (text) => tiktoken.encode(text, [], []) },
      ],
      [{ name: 'cl100k, ours', encode: (text) => anew.encode(text) }, twinOf(vocabulary)],
      splitsOfDeepSeek(loaded.image),
    ];
  };
}

/** Prompts whose first half is one of ten beginnings. */
function halfShared(prompts: readonly string[]): string[] {
  const shared = prompts.slice(0, Math.min(10, prompts.length >> 1));
  return prompts.slice(shared.length).map((prompt, index) => {
    const beginning = shared[index % shared.length]!;
    return beginning.slice(0, beginning.length >> 1) + prompt.slice(prompt.length >> 1);
  });
}

async function different([ours, theirs]: Match, prompts: readonly string[]): Promise<number> {
  let count = 0;
  for (const prompt of prompts) {
    const [own, other] = [Array.from(await ours.encode(prompt)), Array.from(await theirs.encode(prompt))];
    if (own.join() !== other.join()) count++;
  }
  return count;
}

export interface TokensFigure {
  readonly name: string;
  /** Microseconds a prompt. */
  readonly figure: Quantiles;
}

/** New prompts of each kind through the built-in tokenizer and its twin, without other packages. @param promptsMax of each kind */
export async function measureOwnTokens(promptsMax: number): Promise<TokensFigure[]> {
  const vocabulary = await loadVocabulary();
  const cutter = new BuiltinTokenizer(vocabulary);
  const figures: TokensFigure[] = [];
  for (const kind of Object.keys(corpora)) {
    const prompts = promptsOf(kind, promptsMax, cutter);
    const warmUp = Math.min(20, prompts.length >> 1);
    const ours = new BuiltinTokenizer(vocabulary);
    const builtin: Contestant = { name: 'cl100k, ours', encode: (text) => ours.encode(text) };
    for (const contestant of [builtin, twinOf(vocabulary)]) {
      await time(contestant, prompts.slice(0, warmUp));
      figures.push({ name: `${kind}, ${contestant.name}`, figure: await time(contestant, prompts.slice(warmUp)) });
    }
  }
  return figures;
}

/**
 * Half seen before: one message, whose first half is one of ten. Cold: new texts, for tokenizers that have seen other
 * texts. Warm: the same texts again, with each tokenizer's caches.
 * Measures wall time until the ids are returned.
 * @param promptsMax of each kind
 */
export async function benchTokens(promptsMax: number): Promise<void> {
  const newMatches = await loadMatches();
  const cutter = new BuiltinTokenizer(await loadVocabulary());
  console.log(environment());
  console.log(`prompts of ${promptTokens} tokens of cl100k_base\n`);
  console.log(`${'microseconds a prompt'.padEnd(52)} ${'p50'.padStart(9)} ${'p99'.padStart(9)}`);
  for (const kind of Object.keys(corpora)) {
    const prompts = promptsOf(kind, promptsMax, cutter);
    const warmUp = Math.min(20, prompts.length >> 1);
    const timed = prompts.slice(warmUp);
    for (const match of newMatches()) {
      const cold: Quantiles[] = [];
      const warm: Quantiles[] = [];
      for (const contestant of match) {
        await time(contestant, prompts.slice(0, warmUp));
        cold.push(await time(contestant, timed));
        warm.push(await time(contestant, timed));
        print(`${kind}: ${contestant.name}, cold (${timed.length} prompts)`, cold.at(-1)!);
        print(`${kind}: ${contestant.name}, warm`, warm.at(-1)!);
      }
      const ratio = (passes: readonly Quantiles[]): string => `${(passes[1]!.p50 / passes[0]!.p50).toFixed(1)}x`;
      console.log(
        `${kind}: ours is ${ratio(cold)} as fast cold, ${ratio(warm)} warm; prompts with other ids: ${await different(match, timed)}\n`,
      );
    }
    const sharing = new BuiltinTokenizer(await loadVocabulary());
    const [beginnings, halves] = [prompts.slice(0, Math.min(10, prompts.length >> 1)), halfShared(prompts)];
    const ours: Contestant = { name: 'cl100k, ours', encode: (text) => sharing.encode(text) };
    await time(ours, beginnings);
    print(`${kind}: ${ours.name}, half of it seen before (${halves.length} prompts)`, await time(ours, halves));
    console.log('');
  }
}

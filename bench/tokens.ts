// What tokenizing a prompt of 7,000 tokens costs: the built-in tokenizer beside js-tiktoken, on the same texts.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tiktoken } from 'js-tiktoken/lite';
import cl100k from 'js-tiktoken/ranks/cl100k_base';
import { BuiltinTokenizer, loadVocabulary } from '../src/tokens/builtin-tokenizer.ts';
import { environment, print, quantiles, timeEach } from './measure.ts';

const promptTokens = 7000;

/** Text that comes with the dependencies; paths from the project's root, where the bench is run. */
const corpora: Readonly<Record<string, { readonly folders: readonly string[]; readonly files: RegExp }>> = {
  English: { folders: ['undici/docs', 'pino/docs', 'openai', 'commander', 'msgpackr', 'fast-check'], files: /\.md$/ },
  code: { folders: ['zod/src/v4/core', 'zod/src/v4/classic', 'undici/lib', 'commander/lib'], files: /\.(ts|js)$/ },
  multilingual: { folders: ['zod/src/v4/locales', '@biomejs/biome'], files: /(\w\w|\w\w-\w\w)\.(ts|md)$/ },
};

/** Base64 without a break: minutes of work for the oracle, whose time grows with the square of a word's length. */
const longRuns = /wasm|tests/;

/** Prompts of exactly 7,000 tokens, cut one after another from a corpus. */
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

/**
 * Cold: texts not seen before, by a tokenizer that has seen others. Warm: the same ones again, words and segments
 * remembered. js-tiktoken remembers nothing, so it has one figure.
 * @param promptsMax of each kind
 */
export async function benchTokens(promptsMax: number): Promise<void> {
  const loadStart = process.hrtime.bigint();
  const vocabulary = await loadVocabulary();
  const loadMs = Number(process.hrtime.bigint() - loadStart) / 1e6;
  const oracle = new Tiktoken(cl100k);

  console.log(environment());
  console.log(`prompts of ${promptTokens} tokens of cl100k_base; vocabulary parsed in ${loadMs.toFixed(0)} ms\n`);
  console.log(`${'microseconds a prompt'.padEnd(52)} ${'p50'.padStart(9)} ${'p99'.padStart(9)}`);
  for (const kind of Object.keys(corpora)) {
    const tokenizer = new BuiltinTokenizer(vocabulary);
    const prompts = promptsOf(kind, promptsMax, new BuiltinTokenizer(vocabulary));
    const warmUp = Math.min(10, prompts.length >> 1);
    for (const prompt of prompts.slice(0, warmUp)) tokenizer.encode(prompt);
    const timed = prompts.slice(warmUp);
    const run = (encode: (text: string) => ArrayLike<number>): Float64Array =>
      timeEach(timed.length, (index) => encode(timed[index]!));
    const cold = quantiles(run((text) => tokenizer.encode(text)));
    const warm = quantiles(run((text) => tokenizer.encode(text)));
    const theirs = quantiles(run((text) => oracle.encode(text, [], [])));
    const different = timed.filter((text) => tokenizer.encode(text).join() !== oracle.encode(text, [], []).join());
    print(`${kind}: built-in, cold (${timed.length} prompts)`, cold);
    print(`${kind}: built-in, warm`, warm);
    print(`${kind}: js-tiktoken`, theirs);
    const ratios = [theirs.p50 / cold.p50, theirs.p50 / warm.p50].map((ratio) => `${ratio.toFixed(0)}x`);
    console.log(`${kind}: ${ratios.join(' and ')} as fast; prompts with other ids: ${different.length}\n`);
  }
}

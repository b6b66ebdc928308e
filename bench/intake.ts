// Bench of what a chat request costs before it is routed: weighing, parsing, tokens, block hashes. CPU time.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BlockHasher } from '../src/core/index.ts';
import { Random } from '../src/core/random.ts';
import { parsedBytes } from '../src/gateway/exchange/json-weight.ts';
import { readInferenceRequest } from '../src/gateway/inference/request-intake.ts';
import { BuiltinTokenizer, loadVocabulary } from '../src/tokens/builtin-tokenizer.ts';
import { environment } from './measure.ts';

interface Workload {
  readonly name: string;
  readonly bytes: number;
  text(random: Random, chars: number): string;
}

/** Lines of documentation and code from the dependencies, with numbers and every tenth long word made unique. */
function technical(): Workload {
  const texts: string[] = [];
  for (const [folder, files] of [
    ['undici/docs', /\.md$/],
    ['fast-check', /\.md$/],
    ['zod/src/v4/core', /\.ts$/],
    ['undici/lib', /\.js$/],
  ] as const) {
    const path = join('node_modules', folder);
    for (const name of readdirSync(path, { recursive: true, encoding: 'utf8' }).toSorted()) {
      if (files.test(name) && !/wasm|tests/.test(name)) texts.push(readFileSync(join(path, name), 'utf8'));
    }
  }
  const lines = texts.join('\n').split('\n');
  const letters = (random: Random): string =>
    Array.from({ length: 3 }, () => String.fromCharCode(97 + random.below(26))).join('');
  const unique = (line: string, random: Random): string =>
    line
      .replace(/[A-Za-z]{6,}/g, (word) => (random.below(10) === 0 ? word.slice(0, 3) + letters(random) : word))
      .replace(/\d+/g, () => String(random.below(100_000)));
  return {
    name: 'technical',
    bytes: 48_000,
    text(random, chars) {
      let text = '';
      while (text.length < chars) text += `${unique(lines[random.below(lines.length)]!, random)}\n`;
      return text.slice(0, chars);
    },
  };
}

/** 40,000 distinct words, of which the first ones are frequent. */
function prose(): Workload {
  const syllables = 'ba con de er fi gra hu in jo ke lo mi nu or pre qui ra st tion ing un ver wa ous ly ment'.split(
    ' ',
  );
  const random = new Random(1);
  const words = Array.from({ length: 40_000 }, () =>
    Array.from({ length: 1 + random.below(4) }, () => syllables[random.below(syllables.length)]!).join(''),
  );
  const pick = (from: Random): string => words[Math.min(from.below(words.length), from.below(words.length))]!;
  return {
    name: 'prose',
    bytes: 31_000,
    text(from, chars) {
      let text = '';
      while (text.length < chars) text += `${pick(from)} `;
      return text.slice(0, chars);
    },
  };
}

/** Every body unique, half of it one of ten shared beginnings, in one user message. */
function bodiesOf(workload: Workload, count: number, random: Random): Buffer[] {
  const half = workload.bytes / 2;
  const shared = Array.from({ length: 10 }, () => workload.text(random, half));
  return Array.from({ length: count }, (_, index) => {
    const content = shared[index % 10]! + workload.text(random, half);
    return Buffer.from(JSON.stringify({ model: 'm', stream: true, messages: [{ role: 'user', content }] }));
  });
}

export const stages = ['weight', 'parse', 'template and tokens', 'block hashes'] as const;
const sharedCount = 10;

/** CPU microseconds of the stages of each request of one workload. */
export interface IntakeFigures {
  readonly workload: string;
  /** Mean of a prompt. */
  readonly tokens: number;
  /** In the order of `stages`. */
  readonly stageUs: readonly Float64Array[];
}

/**
 * All texts are new except for one of ten shared halves.
 * @param requests of each workload @param rounds each with new bodies, to the same tokenizer; the last one is returned
 */
export async function measureRequestIntake(requests: number, rounds: number): Promise<IntakeFigures[]> {
  const cpuUs = (): number => {
    const { user, system } = process.cpuUsage();
    return user + system;
  };
  const figures: IntakeFigures[] = [];
  for (const workload of [prose(), technical()]) {
    const tokenizer = new BuiltinTokenizer(await loadVocabulary());
    const hasher = new BlockHasher();
    const stageUs = stages.map(() => new Float64Array(requests));
    let tokens = 0;
    for (let round = 1; round <= rounds; round++) {
      const bodies = bodiesOf(workload, sharedCount + requests, new Random(round));
      tokens = 0;
      for (const [index, body] of bodies.entries()) {
        const times = [cpuUs()];
        parsedBytes(body);
        times.push(cpuUs());
        const request = await readInferenceRequest('chat', body, () => Promise.resolve());
        times.push(cpuUs());
        const prompt = request.prompts[0]!;
        const ids = prompt.kind === 'chat' ? tokenizer.encodeChat(prompt.chat).ids : new Uint32Array(0);
        times.push(cpuUs());
        hasher.hash(ids, 16);
        times.push(cpuUs());
        // The first requests see their shared half for the first time.
        if (index < sharedCount) continue;
        tokens += ids.length;
        for (const [stage, us] of stageUs.entries()) us[index - sharedCount] = times[stage + 1]! - times[stage]!;
      }
    }
    figures.push({ workload: workload.name, tokens: Math.round(tokens / requests), stageUs });
  }
  return figures;
}

/** See `measureRequestIntake`. */
export async function benchIntake(requests: number, rounds: number): Promise<void> {
  console.log(environment());
  console.log('CPU microseconds a request, all texts new except for one of ten shared halves\n');
  for (const { workload, tokens, stageUs } of await measureRequestIntake(requests, rounds)) {
    const means = stages.map((stage, index) => `${stage} ${mean(stageUs[index]!).toFixed(0)}`);
    console.log(`${workload}, ${tokens} tokens: ${means.join(', ')}`);
  }
}

function mean(samples: Float64Array): number {
  return samples.reduce((sum, one) => sum + one, 0) / samples.length;
}

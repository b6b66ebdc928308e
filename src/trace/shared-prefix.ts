// Workloads with shared prompt prefixes, as text: a cold burst, and the stream of Dynamo's PR #1731.

import { Random } from '../core/random.ts';
import { burstArrivalsMs, poissonArrivalsMs } from './arrivals.ts';
import { shuffle } from './distributions.ts';
import type { TextRequest } from './text-request.ts';
import { type TextCodec, TextSource } from './text-source.ts';

/** SGLang's `generated-shared-prefix`: the prompts of all groups, shuffled, all at once. */
export interface SharedPrefixBurst {
  readonly groups: number;
  readonly promptsPerGroup: number;
  readonly prefixTokens: number;
  readonly questionTokens: number;
  readonly outputTokens: number;
}

export const coldBurst: SharedPrefixBurst = {
  groups: 64,
  promptsPerGroup: 16,
  prefixTokens: 2048,
  questionTokens: 128,
  outputTokens: 64,
};

/** Dynamo's PR #1731: half of each prompt is one of a few prefixes, drawn uniformly; Poisson arrivals. */
export interface SharedPrefixStream {
  readonly requests: number;
  readonly prefixes: number;
  readonly prefixTokens: number;
  /** Prompt tokens, prefix included. */
  readonly isl: number;
  readonly outputTokens: number;
  readonly ratePerS: number;
}

export const pr1731Stream: SharedPrefixStream = {
  requests: 180,
  prefixes: 10,
  prefixTokens: 3500,
  isl: 7000,
  outputTokens: 100,
  ratePerS: 12,
};

/** Enough words that two random texts differ within a word or two. */
const wordCount = 4096;

/** The same spec, seed and vocabulary give the same text. */
export async function sharedPrefixBurst(
  spec: SharedPrefixBurst,
  codec: TextCodec,
  seed: number,
): Promise<TextRequest[]> {
  const groups: number[] = [];
  for (let group = 0; group < spec.groups; group++) {
    for (let i = 0; i < spec.promptsPerGroup; i++) groups.push(group);
  }
  const random = new Random(seed);
  shuffle(groups, random);
  return compose(groups, burstArrivalsMs(groups.length), {
    codec,
    random,
    prefixes: spec.groups,
    prefixTokens: spec.prefixTokens,
    uniqueTokens: spec.questionTokens,
    outputTokens: spec.outputTokens,
  });
}

/** The same spec, seed and vocabulary give the same text and times. */
export async function sharedPrefixStream(
  spec: SharedPrefixStream,
  codec: TextCodec,
  seed: number,
): Promise<TextRequest[]> {
  const random = new Random(seed);
  const groups = Array.from({ length: spec.requests }, () => random.below(spec.prefixes));
  return compose(groups, poissonArrivalsMs(spec.requests, spec.ratePerS, random), {
    codec,
    random,
    prefixes: spec.prefixes,
    prefixTokens: spec.prefixTokens,
    uniqueTokens: spec.isl - spec.prefixTokens,
    outputTokens: spec.outputTokens,
  });
}

interface Composition {
  readonly codec: TextCodec;
  readonly random: Random;
  readonly prefixes: number;
  readonly prefixTokens: number;
  readonly uniqueTokens: number;
  readonly outputTokens: number;
}

async function compose(
  groups: readonly number[],
  arrivalsMs: Float64Array,
  { codec, random, prefixes, prefixTokens, uniqueTokens, outputTokens }: Composition,
): Promise<TextRequest[]> {
  const source = await TextSource.create(codec, random, wordCount);
  const prefixTexts = Array.from({ length: prefixes }, () => source.text(prefixTokens, random));
  const isl = prefixTokens + uniqueTokens;
  const requests: TextRequest[] = [];
  for (const [i, group] of groups.entries()) {
    const prompt = prefixTexts[group]! + source.text(uniqueTokens, random);
    await source.verify(prompt, isl);
    requests.push({ arrivalMs: arrivalsMs[i]!, prompt, isl, maxTokens: outputTokens, group });
  }
  return requests;
}

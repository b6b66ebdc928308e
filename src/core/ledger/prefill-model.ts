// Model of the prefill time of a pool's workers, learnt from the times between their first tokens.

import { LeastSquares } from './least-squares.ts';

/** Assumed before the first observation. Slow on purpose: overestimating load is safer than underestimating it. */
export const assumedPrefillTokensPerS = 2000;

/** Pairs of a token and a context token that it attends to: the quadratic part of a prefill. Finite for any input. */
export function attendedPairs(uncachedTokens: number, cachedTokens: number): number {
  return Math.min(pairsMax, uncachedTokens * (cachedTokens + uncachedTokens / 2));
}

/** Pairs of a prompt of two million tokens: beyond any engine, and exact in sums of thousands. */
const pairsMax = 2 ** 41;

/** Weight of the old evidence at each sample: about 500 samples count. */
const memory = 0.998;
/** Expected squared error of a sample divided by its predicted time, since chunks of several prompts share steps. */
const varianceMs = 30;
const sampleMsMin = 5;
/** Lower bound of the time per token, as a share of the mean, for prompts unlike the samples. */
const floorShare = 0.2;

/**
 * time = fixedMs + msPerToken x u + msPerPair x u x (c + u / 2) + msPerOutputToken x o, with u uncached and c cached
 * tokens. The last term is learnt from whole answers only, which show their end but not their first token.
 */
export class PrefillModel {
  // Prior errors of twice the value: one sample of a worker four times as fast or slow moves the model most of the way.
  readonly #fit = new LeastSquares([20, 1000 / assumedPrefillTokensPerS, 0, 50], [40, 1, 1e-5, 100], memory);
  readonly #features = new Float64Array(4);
  #tokens = 0;
  #ms = 0;

  /** Fixed time of a group of prompts: the rest of the running step, and the overhead of steps. */
  get fixedMs(): number {
    return Math.max(0, this.#fit.weights[0]!);
  }

  /** Time per output token of whole answers. 0 before the first. */
  get outputTokenMs(): number {
    return this.#wholeAnswers > 0 ? Math.max(0.1, this.#fit.weights[3]!) : 0;
  }

  #wholeAnswers = 0;

  /** The part that grows with the prompt. At least `floorShare` of the mean time per token. */
  workMs(tokens: number, pairs: number): number {
    const { weights } = this.#fit;
    const floor = this.#tokens > 0 ? (floorShare * this.#ms) / this.#tokens : 0.01;
    return Math.max(weights[1]! * tokens + weights[2]! * pairs, floor * tokens);
  }

  /** Learns that prompts with `tokens` and `pairs` in total took `ms` on a worker as fast as the pool. */
  learn(tokens: number, pairs: number, ms: number): void {
    this.#learn(tokens, pairs, 0, ms);
    this.#tokens = this.#tokens * memory + tokens;
    this.#ms = this.#ms * memory + ms;
  }

  /** Learns that a prompt and its whole answer took `ms`, without the time before its prefill began. */
  learnWhole(tokens: number, pairs: number, outputTokens: number, ms: number): void {
    this.#wholeAnswers++;
    this.#learn(tokens, pairs, outputTokens, ms);
  }

  #learn(tokens: number, pairs: number, outputTokens: number, ms: number): void {
    const features = this.#features;
    features[0] = 1;
    features[1] = tokens;
    features[2] = pairs;
    features[3] = outputTokens;
    this.#fit.learn(features, ms, varianceMs * Math.max(sampleMsMin, this.#fit.predict(features)));
  }
}

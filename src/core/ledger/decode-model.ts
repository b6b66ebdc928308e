// Model of the time per output token of a pool's workers, by the requests and context tokens that they decode.

import { LeastSquares } from './least-squares.ts';

/** Assumed before the first observation. */
export const assumedTokenGapMs = 50;

const memory = 0.998;
/** Expected relative error of a sample. */
const errorShare = 0.2;

/** gap = fixedMs + msPerRequest x requests + msPerContextToken x context tokens. */
export class DecodeModel {
  readonly #fit = new LeastSquares([assumedTokenGapMs / 2, 0.3, 1e-4], [assumedTokenGapMs, 1, 1e-3], memory);
  readonly #features = new Float64Array(3);

  gapMs(requests: number, contextTokens: number): number {
    const { weights } = this.#fit;
    const ms = weights[0]! + weights[1]! * requests + weights[2]! * contextTokens;
    return ms > 0.1 ? ms : 0.1;
  }

  learn(requests: number, contextTokens: number, gapMs: number): void {
    const features = this.#features;
    features[0] = 1;
    features[1] = requests;
    features[2] = contextTokens;
    const error = errorShare * this.gapMs(requests, contextTokens);
    this.#fit.learn(features, gapMs, error * error);
  }
}

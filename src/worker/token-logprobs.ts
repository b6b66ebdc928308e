// Fake log probabilities: the sampled token is the most likely, each further one half as likely.

import type { OutputVocabulary } from './output-vocabulary.ts';

/** vLLM's default of --max-logprobs. */
export const topLogprobsMax = 20;

export interface TokenLogprob {
  readonly token: string;
  readonly logprob: number;
  /** UTF-8 bytes. Null for an incomplete character. */
  readonly bytes: readonly number[] | null;
}

export interface TokenLogprobs extends TokenLogprob {
  readonly top: readonly TokenLogprob[];
}

/** @param text text of the token @param count alternatives, the sampled token included */
export function logprobsOf(vocabulary: OutputVocabulary, id: number, text: string, count: number): TokenLogprobs {
  // Between 0.5 and 0.95, so that the sum over all alternatives stays below 1.
  const probability = 0.5 + (0.45 * (Math.imul(id + 1, 0x9e3779b1) >>> 0)) / 0x1_0000_0000;
  const sampled = logprob(text, probability);
  const top = Array.from({ length: count }, (_, rank) =>
    rank === 0 ? sampled : logprob(vocabulary.word(id + rank), (1 - probability) * 0.5 ** rank),
  );
  return { ...sampled, top };
}

function logprob(text: string, probability: number): TokenLogprob {
  const isIncomplete = text === '';
  return {
    token: isIncomplete ? '\ufffd' : text,
    logprob: Math.log(probability),
    bytes: isIncomplete ? null : Array.from(Buffer.from(text)),
  };
}

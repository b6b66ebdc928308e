// The known content of a prompt: all its tokens, only its first tokens, or bytes in place of tokens.

import type { BlockHasher, Namespace, Prompt } from '../../core/index.ts';

/**
 * `tokens`: all tokens. `beginning`: the first tokens, possibly none, and the size of the rest; only blocks of the
 * beginning are claimed as overlap. `bytes`: the prompt's bytes, standing in for its tokens.
 */
export type PromptContent =
  | { readonly kind: 'tokens'; readonly tokens: Uint32Array }
  | ({ readonly kind: 'beginning'; readonly tokens: Uint32Array } & Remainder)
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array; readonly otherParts: number };

/** Estimated size of what follows the beginning: the sum of the three. */
export interface Remainder {
  readonly restTokens: number;
  /** Text whose tokens are unknown. */
  readonly restBytes: number;
  /** Parts that are not text. */
  readonly otherParts: number;
}

/** Averages used to guess lengths. */
export interface LengthGuess {
  readonly bytesPerToken: number;
  readonly tokensPerPart: number;
}

const fromLeast: readonly PromptContent['kind'][] = ['bytes', 'beginning', 'tokens'];

export function leastKnown(contents: readonly PromptContent[]): PromptContent['kind'] {
  return fromLeast.find((kind) => contents.some((content) => content.kind === kind)) ?? 'tokens';
}

const noTokens = new Uint32Array(0);

/** A prompt of which no block is claimed. */
export function unclaimed(remainder: Partial<Remainder>): PromptContent {
  return { kind: 'beginning', tokens: noTokens, restTokens: 0, restBytes: 0, otherParts: 0, ...remainder };
}

/** Input sequence length in tokens. */
export function islOf(content: PromptContent, guess: LengthGuess): number {
  switch (content.kind) {
    case 'tokens':
      return content.tokens.length;
    case 'beginning': {
      const { tokens, restTokens, restBytes, otherParts } = content;
      const guessed = restBytes / guess.bytesPerToken + otherParts * guess.tokensPerPart;
      return Math.max(1, tokens.length + restTokens + Math.round(guessed));
    }
    case 'bytes': {
      const { bytes, otherParts } = content;
      return Math.max(1, Math.round(bytes.length / guess.bytesPerToken + otherParts * guess.tokensPerPart));
    }
  }
}

/** Hashes each prompt for every block size. */
export function hashContents(
  contents: readonly PromptContent[],
  hasher: BlockHasher,
  blockSizes: readonly number[],
  guess: LengthGuess,
  namespace: Namespace,
): Prompt[] {
  return contents.map((content) => {
    const isl = islOf(content, guess);
    if (content.kind !== 'bytes') {
      return { isl, hashes: blockSizes.map((size) => hasher.hash(content.tokens, size, namespace)) };
    }
    const { bytes } = content;
    const hashes = blockSizes.map((size) => hasher.hashBytes(bytes, size, guess.bytesPerToken, namespace));
    return { isl, hashes, unannounced: true };
  });
}

/** Bytes of all prompts; null if any is known in tokens or has a part that is not text. */
export function promptBytes(contents: readonly PromptContent[]): number | null {
  let bytes = 0;
  for (const content of contents) {
    if (content.kind !== 'bytes' || content.otherParts > 0) return null;
    bytes += content.bytes.length;
  }
  return bytes;
}

/** The prompt as truncated by an engine to `tokensMax` tokens: it is unknown which ones the engine keeps. */
export function truncated(content: PromptContent, tokensMax: number, guess: LengthGuess): PromptContent {
  return islOf(content, guess) <= tokensMax ? content : unclaimed({ restTokens: tokensMax });
}

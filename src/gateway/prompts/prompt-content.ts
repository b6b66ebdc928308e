// The known content of a prompt: all its tokens, only its first tokens, or bytes in place of tokens.

import type { BlockHasher, BlockHashes, Namespace, Prompt } from '../../core/index.ts';
import type { KnownHashes } from './known-hashes.ts';

/**
 * `tokens`: all tokens. `beginning`: the first tokens, possibly none, and the size of the rest; only blocks of the
 * beginning are claimed as overlap. `bytes`: the prompt's bytes, standing in for its tokens.
 */
export type PromptContent = (
  | { readonly kind: 'tokens'; readonly tokens: Uint32Array | HashedTokens }
  | ({ readonly kind: 'beginning'; readonly tokens: Uint32Array | HashedTokens } & Remainder)
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array; readonly otherParts: number }
) & {
  /** Absent: none are known. */
  readonly known?: KnownHashes;
};

/** What is left of tokens that are hashed: their number. For block sizes that are not known no block is claimed. */
export class HashedTokens {
  readonly length: number;

  constructor(length: number) {
    this.length = length;
  }
}

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
  let least = fromLeast.length - 1;
  for (const { kind } of contents) least = Math.min(least, fromLeast.indexOf(kind));
  return fromLeast[least]!;
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

/**
 * Hashes each prompt for every block size.
 *
 * The lists are pushed, not mapped: in V8, `map` makes a packed array until the function is optimized and a holey one
 * from then on, and every optimized function that reads the list is then thrown away, here those that place requests.
 */
export function hashContents(
  contents: readonly PromptContent[],
  hasher: BlockHasher,
  blockSizes: readonly number[],
  guess: LengthGuess,
  namespace: Namespace,
): Prompt[] {
  const hashes: BlockHashes[][] = [];
  for (let index = 0; index < contents.length; index++) hashes.push([]);
  for (const size of blockSizes) {
    const claimed = claimedBlocks(contents, size);
    for (const [index, content] of contents.entries()) {
      hashes[index]!.push(hashContent(content, hasher, size, claimed[index]!, guess, namespace));
    }
  }
  const prompts: Prompt[] = [];
  for (const [index, content] of contents.entries()) {
    const isl = islOf(content, guess);
    const hashed = hashes[index]!;
    prompts.push(content.kind === 'bytes' ? { isl, hashes: hashed, unannounced: true } : { isl, hashes: hashed });
  }
  return prompts;
}

/** Blocks that are claimed of the prompts of one request; of a single prompt all are. They are placed in one step. */
const claimedBlocksMax = 32_768;

/** Number of blocks of each prompt to hash. The rest counts as computed anew, and as load. */
export function claimedBlocks(contents: readonly PromptContent[], blockSize: number): number[] {
  let left = contents.length === 1 ? Number.POSITIVE_INFINITY : claimedBlocksMax;
  const claimed: number[] = [];
  for (const content of contents) {
    const blocks = Math.min(left, Math.floor(hashedWords(content) / blockSize));
    left -= blocks;
    claimed.push(blocks);
  }
  return claimed;
}

/** Hashed are tokens, or four bytes in place of each. */
export function hashedWords(content: PromptContent): number {
  return content.kind === 'bytes' ? Math.floor(content.bytes.length / 4) : content.tokens.length;
}

function hashContent(
  content: PromptContent,
  hasher: BlockHasher,
  blockSize: number,
  blocks: number,
  { bytesPerToken }: LengthGuess,
  namespace: Namespace,
): BlockHashes {
  const sequence = content.known?.find(blockSize, namespace);
  const blockTokens = content.kind === 'bytes' ? (4 * blockSize) / bytesPerToken : blockSize;
  if (sequence !== undefined) return { blockSize, count: sequence.length / 2, sequence, blockTokens };
  const words = blocks * blockSize;
  if (content.kind !== 'bytes') return hasher.hash(tokensAt(content, 0, words), blockSize, namespace);
  return hasher.hashBytes(content.bytes.subarray(0, 4 * words), blockSize, bytesPerToken, namespace);
}

/** None if they are hashed. */
export function tokensAt(
  { tokens }: { readonly tokens: Uint32Array | HashedTokens },
  from: number,
  to: number,
): Uint32Array {
  return tokens instanceof HashedTokens ? noTokens : tokens.subarray(from, to);
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

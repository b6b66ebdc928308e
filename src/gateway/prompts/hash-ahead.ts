// Hashes very long prompts in several turns of the event loop, before they are placed: placing is one step.

import type { BlockHasher, Namespace } from '../../core/index.ts';
import { KnownHashes } from './known-hashes.ts';
import { claimedBlocks, HashedTokens, hashedWords, type PromptContent, tokensAt } from './prompt-content.ts';

/** Hashing as many takes about a millisecond. */
const tokensPerTurn = 262_144;

/**
 * @param turn settles in a later turn of the event loop
 * @returns the contents themselves if they are short, else a promise of the same contents with their hashes
 */
export function withHashesAhead(
  contents: readonly PromptContent[],
  hasher: BlockHasher,
  blockSizes: readonly number[],
  namespace: Namespace,
  turn: () => Promise<unknown>,
): readonly PromptContent[] | Promise<readonly PromptContent[]> {
  let words = 0;
  for (const content of contents) words += hashedWords(content);
  if (words * blockSizes.length <= tokensPerTurn) return contents;
  return hashedInTurns(contents, hasher, blockSizes, namespace, turn);
}

async function hashedInTurns(
  contents: readonly PromptContent[],
  hasher: BlockHasher,
  blockSizes: readonly number[],
  namespace: Namespace,
  turn: () => Promise<unknown>,
): Promise<readonly PromptContent[]> {
  let left = tokensPerTurn;
  const spend = async (tokens: number): Promise<void> => {
    if (left <= 0) {
      await turn();
      left = tokensPerTurn;
    }
    left -= tokens;
  };
  const known = contents.map(() => new KnownHashes());
  for (const size of blockSizes) {
    for (const [index, count] of claimedBlocks(contents, size).entries()) {
      const sequence = await chained(contents[index]!, count, hasher, size, namespace, spend);
      known[index]!.add(size, namespace, sequence);
    }
  }
  return contents.map((content, index) => ({ ...content, known: known[index]! }));
}

/**
 * Hashes tokens and drops them: they take several times as much memory, for as long as an answer takes.
 * @returns contents without token ids
 */
export function withHashesInstead(
  contents: readonly PromptContent[],
  hasher: BlockHasher,
  blockSizes: readonly number[],
  namespace: Namespace,
): readonly PromptContent[] {
  const claimed = blockSizes.map((size) => claimedBlocks(contents, size));
  return contents.map((content, index) => {
    if (content.kind === 'bytes') return content;
    const known = content.known ?? new KnownHashes();
    for (const [at, size] of blockSizes.entries()) {
      if (known.find(size, namespace) !== undefined) continue;
      const words = claimed[at]![index]! * size;
      known.add(size, namespace, hasher.hash(tokensAt(content, 0, words), size, namespace).sequence);
    }
    const tokens = new HashedTokens(content.tokens.length);
    if (content.kind === 'tokens') return { kind: 'tokens', tokens, known };
    const { restTokens, restBytes, otherParts } = content;
    return { kind: 'beginning', tokens, known, restTokens, restBytes, otherParts };
  });
}

/** As `BlockHasher.hash` and `hashBytes` of the first blocks. @param spend settles when that many tokens may be hashed */
async function chained(
  content: PromptContent,
  count: number,
  hasher: BlockHasher,
  blockSize: number,
  namespace: Namespace,
  spend: (tokens: number) => Promise<void>,
): Promise<Uint32Array> {
  const sequence = new Uint32Array(2 * count);
  const root = hasher.root(blockSize, namespace);
  let parent = content.kind === 'bytes' ? hasher.bytesRoot(root) : root;
  const blocksMax = Math.max(1, Math.floor(tokensPerTurn / blockSize));
  for (let at = 0; at < count; at += blocksMax) {
    const blocks = Math.min(blocksMax, count - at);
    await spend(blocks * blockSize);
    const part = hasher.chain(tokensOf(content, at * blockSize, blocks * blockSize), blocks, blockSize, parent);
    sequence.set(part, 2 * at);
    parent = part.subarray(part.length - 2);
  }
  return sequence;
}

function tokensOf(content: PromptContent, from: number, count: number): Uint32Array {
  if (content.kind !== 'bytes') return tokensAt(content, from, from + count);
  const words = new Uint32Array(count);
  new Uint8Array(words.buffer).set(content.bytes.subarray(4 * from, 4 * (from + count)));
  return words;
}

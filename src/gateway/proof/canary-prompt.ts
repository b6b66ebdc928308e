// A random prompt of a few blocks that nobody has sent before, so that only the canary itself can have cached it.

import { randomBytes } from 'node:crypto';

export const canaryBlocks = 3;
/** Limit on a canary's length: computing a longer one twice costs more than it proves. */
export const canaryTokensMax = 16_384;

const wordBytes = 3;
/** Attempts to make a prompt that is long enough. */
const attemptsMax = 16;
/** Words tokenized to estimate how many are needed. */
const sampleWords = 32;
/** Ids that every vocabulary has and that are not special tokens. */
const plainIdMin = 1000;
const plainIds = 1000;

export interface CanaryPrompt {
  /** The prompt in the request. */
  readonly prompt: string | readonly number[];
  /** The token ids that the engine should derive from it. */
  readonly tokens: Uint32Array;
}

export type Encode = (text: string) => Uint32Array | Promise<Uint32Array>;

/**
 * Uses fewer blocks if they are large. @param encode null: the engine's tokenizer is unknown, so the prompt is made of
 * ids
 * @returns null if not even one block fits into `canaryTokensMax`
 */
export async function makeCanaryPrompt(encode: Encode | null, blockSize: number): Promise<CanaryPrompt | null> {
  const blocks = Math.min(canaryBlocks, Math.floor((canaryTokensMax - 1) / blockSize));
  if (blocks === 0) return null;
  const tokenCount = blocks * blockSize + 1;
  if (encode === null) {
    const chance = randomBytes(2 * tokenCount);
    const tokens = Uint32Array.from(
      { length: tokenCount },
      (_, i) => plainIdMin + (chance.readUInt16LE(2 * i) % plainIds),
    );
    return { prompt: [...tokens], tokens };
  }
  const sample = await encode(words(sampleWords));
  let wordCount = Math.ceil((tokenCount * sampleWords) / Math.max(1, sample.length));
  // Bounds the work for a tokenizer that makes almost no tokens of words.
  for (let attempt = 1; attempt <= attemptsMax && wordCount <= canaryTokensMax; attempt++) {
    const prompt = words(wordCount);
    const tokens = await encode(prompt);
    if (tokens.length >= tokenCount) return { prompt, tokens };
    wordCount += Math.ceil((tokenCount - tokens.length) / 2);
  }
  return null;
}

function words(count: number): string {
  const hex = randomBytes(wordBytes * count).toString('hex');
  return Array.from({ length: count }, (_, i) => hex.slice(2 * wordBytes * i, 2 * wordBytes * (i + 1))).join(' ');
}

// A prompt that nobody has sent before, a little longer than some blocks: whatever is cached of it, it has left itself.

import { randomBytes } from 'node:crypto';

export const canaryBlocks = 3;
/** A longer prompt is none: making it, and computing it twice, would cost more than it proves. */
export const canaryTokensMax = 16_384;

const wordBytes = 3;
/** Prompts made until one is long enough. */
const attemptsMax = 16;
/** Words whose tokens tell how many words are needed. */
const sampleWords = 32;
/** Ids that every vocabulary has, and that stand for no special token. */
const plainIdMin = 1000;
const plainIds = 1000;

export interface CanaryPrompt {
  /** What the request says. */
  readonly prompt: string | readonly number[];
  /** What the engine should make of it. */
  readonly tokens: Uint32Array;
}

export type Encode = (text: string) => Uint32Array | Promise<Uint32Array>;

/**
 * Of fewer blocks where they are large. @param encode null: the engine's tokens are not known, so it is asked by ids
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
  // A tokenizer that makes next to nothing of words would want them without end.
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

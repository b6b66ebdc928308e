// A prompt that nobody has sent before, a little longer than three blocks: whatever is cached of it, it has left itself.

import { randomBytes } from 'node:crypto';

export const canaryBlocks = 3;

const wordBytes = 3;
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

/** @param encode null: the engine's tokens are not known, so it is asked by ids */
export async function makeCanaryPrompt(encode: Encode | null, blockSize: number): Promise<CanaryPrompt> {
  const tokenCount = canaryBlocks * blockSize + 1;
  if (encode === null) {
    const tokens = Uint32Array.from(
      { length: tokenCount },
      () => plainIdMin + (randomBytes(2).readUInt16LE() % plainIds),
    );
    return { prompt: [...tokens], tokens };
  }
  const sample = await encode(words(sampleWords));
  let wordCount = Math.ceil((tokenCount * sampleWords) / sample.length);
  for (;;) {
    const prompt = words(wordCount);
    const tokens = await encode(prompt);
    if (tokens.length >= tokenCount) return { prompt, tokens };
    wordCount += Math.ceil((tokenCount - tokens.length) / 2);
  }
}

function words(count: number): string {
  return Array.from({ length: count }, () => randomBytes(wordBytes).toString('hex')).join(' ');
}

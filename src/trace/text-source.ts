// Random text with an exact number of tokens.

import type { Random } from '../core/random.ts';
import type { Tokenizer } from '../tokens/tokenizer.ts';

/** The part of a tokenizer that a text source needs. */
export type TextCodec = Pick<Tokenizer, 'encode' | 'decode' | 'vocabSize'>;

/** A space and lower-case letters: every common byte-level BPE splits text before such a word and never inside it. */
const wordPattern = /^ [a-z]{2,12}$/;

/**
 * Draws words that are one token each, including the space before them. Joined words stay one token each, because these
 * tokenizers never merge across a split. `verify` checks this for a given text.
 */
export class TextSource {
  /** Draws in a row without a new word after which the vocabulary has too few words. */
  static readonly drawsMax = 1_000_000;

  readonly #codec: TextCodec;
  readonly #words: readonly string[];

  private constructor(codec: TextCodec, words: readonly string[]) {
    this.#codec = codec;
    this.#words = words;
  }

  /** Picks `wordCount` different words. @throws RangeError if the vocabulary has too few. */
  static async create(codec: TextCodec, random: Random, wordCount: number): Promise<TextSource> {
    const words = new Set<string>();
    for (let draws = 0; words.size < wordCount; draws++) {
      if (draws === TextSource.drawsMax) {
        throw new RangeError(`the vocabulary has only ${words.size} of ${wordCount} words that are one token each`);
      }
      const id = random.below(codec.vocabSize);
      const word = await codec.decode([id]);
      // Several ids may decode to the same text, so encode decides.
      if (wordPattern.test(word) && (await codec.encode(word)).length === 1) words.add(word);
    }
    return new TextSource(codec, [...words]);
  }

  /** Text of exactly `tokens` tokens. */
  text(tokens: number, random: Random): string {
    let text = '';
    for (let i = 0; i < tokens; i++) text += this.#words[random.below(this.#words.length)]!;
    return text;
  }

  /** @throws Error if `text` does not have exactly `tokens` tokens */
  async verify(text: string, tokens: number): Promise<void> {
    const found = (await this.#codec.encode(text)).length;
    if (found !== tokens) throw new Error(`a generated text has ${found} tokens instead of ${tokens}`);
  }
}

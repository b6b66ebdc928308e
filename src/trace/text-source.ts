// Random text of an exact number of tokens.
import type { Random } from '../core/random.ts';
import type { Tokenizer } from '../tokens/tokenizer.ts';

/** What a text source needs of a tokenizer. */
export type TextCodec = Pick<Tokenizer, 'encode' | 'decode' | 'vocabSize'>;

/** A space and lower-case letters: every byte-level BPE in use splits text before such a word, and nowhere within. */
const WORD = /^ [a-z]{2,12}$/;

/**
 * Draws words that are one token each, with the space before them. Joined words stay one token each, because tokenizers
 * of this kind never merge across a split; `verify` proves it for the text at hand.
 */
export class TextSource {
  /** A vocabulary in which so many draws find no further word has too few of them. */
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
      // Another id may decode to the same text; encode settles which one counts.
      if (WORD.test(word) && (await codec.encode(word)).length === 1) words.add(word);
    }
    return new TextSource(codec, [...words]);
  }

  /** Text of exactly `tokens` tokens. */
  text(tokens: number, random: Random): string {
    let text = '';
    for (let i = 0; i < tokens; i++) text += this.#words[random.below(this.#words.length)]!;
    return text;
  }

  /** @throws Error if `text` has another number of tokens than `tokens`. */
  async verify(text: string, tokens: number): Promise<void> {
    const found = (await this.#codec.encode(text)).length;
    if (found !== tokens) throw new Error(`a generated text has ${found} tokens instead of ${tokens}`);
  }
}

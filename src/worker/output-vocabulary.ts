// The tokens that a simulated engine answers with, and the text that each adds to a stream.

import { Random } from '../core/random.ts';
import type { EngineRequest, SampleToken } from '../sim/index.ts';
import { seededToken } from '../sim/index.ts';
import type { Tokenizer } from '../tokens/tokenizer.ts';

/** Distinct tokens to answer with: enough to look like text, few enough to be decoded at the start. */
const wordsMax = 2048;
/** Ids drawn in search of them. */
const drawsMax = 16_384;
/** One in so many tokens is no complete character. */
const incompleteEvery = 64;
const replacement = '\ufffd';

export interface Piece {
  readonly text: string;
  /** `text` as a JSON string. */
  readonly json: string;
  /** Bytes that are no complete character, without text of their own: it comes with the next complete token. */
  readonly isIncomplete: boolean;
}

export class OutputVocabulary {
  readonly #ids: Uint32Array;
  readonly #pieces: ReadonlyMap<number, Piece>;

  private constructor(ids: Uint32Array, pieces: ReadonlyMap<number, Piece>) {
    this.#ids = ids;
    this.#pieces = pieces;
  }

  /** Draws plain words, and a token that is no complete character where the vocabulary has one. */
  static async load(tokenizer: Tokenizer, seed: number): Promise<OutputVocabulary> {
    const random = new Random(seed);
    // What a token adds behind another one: some tokenizers drop the space before the first.
    const anchor = (await tokenizer.encode('a', { addSpecialTokens: false }))[0] ?? 0;
    const anchorText = await tokenizer.decode([anchor]);
    const pieces = new Map<number, Piece>();
    let incomplete = -1;
    for (let draw = 0; draw < drawsMax && pieces.size < wordsMax; draw++) {
      const id = random.below(tokenizer.vocabSize);
      if (pieces.has(id)) continue;
      const text = (await tokenizer.decode([anchor, id])).slice(anchorText.length);
      if (/^ ?[\p{L}\p{N}]+$|^[,.]$/u.test(text)) pieces.set(id, pieceOf(text));
      else if (incomplete === -1 && text === replacement) incomplete = id;
    }
    if (pieces.size === 0) pieces.set(anchor, pieceOf(anchorText));
    const words = [...pieces.keys()];
    // One and the same incomplete token: two different ones could be halves of a character.
    if (incomplete !== -1) pieces.set(incomplete, { text: '', json: '""', isIncomplete: true });
    const ids = words.flatMap((id, index) =>
      incomplete !== -1 && index % incompleteEvery === 7 ? [incomplete] : [id],
    );
    return new OutputVocabulary(Uint32Array.from(ids), pieces);
  }

  /** Depends on the request's seed and the position alone. */
  sampler(): SampleToken {
    const draw = seededToken(this.#ids.length);
    return (request: EngineRequest) => this.#ids[draw(request)]!;
  }

  /** @param id one that the sampler gave */
  piece(id: number): Piece {
    const piece = this.#pieces.get(id);
    if (piece === undefined) throw new Error(`token ${id} is not in the output vocabulary`);
    return piece;
  }
}

/** Turns the tokens of one choice into text as vLLM does: nothing while a character is incomplete. */
export class Detokenizer {
  readonly #vocabulary: OutputVocabulary;
  #incomplete = 0;

  constructor(vocabulary: OutputVocabulary) {
    this.#vocabulary = vocabulary;
  }

  /** The text that the token adds. */
  next(id: number): Piece {
    const piece = this.#vocabulary.piece(id);
    if (piece.isIncomplete) {
      this.#incomplete++;
      return piece;
    }
    if (this.#incomplete === 0) return piece;
    const late = pieceOf(replacement.repeat(this.#incomplete) + piece.text);
    this.#incomplete = 0;
    return late;
  }
}

function pieceOf(text: string): Piece {
  return { text, json: JSON.stringify(text), isIncomplete: false };
}

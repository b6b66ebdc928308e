// The tokens that a simulated engine answers with, and the text that each adds to a stream.

import { Random } from '../core/random.ts';
import type { EngineRequest, SampleToken } from '../sim/index.ts';
import { seededToken } from '../sim/index.ts';
import type { Tokenizer } from '../tokens/tokenizer.ts';

/** Distinct tokens to answer with: enough to look like text, few enough to be decoded at the start. */
const wordsMax = 2048;
/** With fewer whole words than this, parts of words are answered too. */
const wholeWordsMin = 128;
/** Ids drawn in search of them. */
const drawsMax = 16_384;
/** One in so many tokens is no complete character. */
const incompleteEvery = 64;
const replacement = '\ufffd';
/** Tokens that one character can be cut into: one for each byte. */
const characterTokensMax = 4;

export interface Piece {
  readonly text: string;
  /** `text` as a JSON string. */
  readonly json: string;
  /** Bytes that are no complete character, without text of their own: it comes with the next complete token. */
  readonly isIncomplete: boolean;
}

/** An answer that is settled before it is generated: its tokens, and what each of them adds to the text. */
export interface Script {
  readonly ids: Uint32Array;
  readonly pieces: readonly Piece[];
}

/** Texts of the tokens of one choice, in their order. */
export interface PieceReader {
  next(id: number): Piece;
}

export class OutputVocabulary {
  readonly #tokenizer: Tokenizer;
  readonly #ids: Uint32Array;
  readonly #pieces: ReadonlyMap<number, Piece>;
  readonly #scripts = new WeakMap<EngineRequest, Script>();

  private constructor(tokenizer: Tokenizer, ids: Uint32Array, pieces: ReadonlyMap<number, Piece>) {
    this.#tokenizer = tokenizer;
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
    const others = new Map<number, Piece>();
    let incomplete = -1;
    for (let draw = 0; draw < drawsMax && pieces.size < wordsMax; draw++) {
      const id = random.below(tokenizer.vocabSize);
      if (pieces.has(id) || others.has(id)) continue;
      const text = (await tokenizer.decode([anchor, id])).slice(anchorText.length);
      if (/^ \p{L}+$|^[,.]$/u.test(text)) pieces.set(id, pieceOf(text));
      else if (/^[\p{L}\p{N}]+$/u.test(text)) others.set(id, pieceOf(text));
      else if (incomplete === -1 && text === replacement) incomplete = id;
    }
    // Whole words come out as the same tokens when a client tokenizes the answer; parts of words would not.
    if (pieces.size < wholeWordsMin) for (const [id, piece] of others) pieces.set(id, piece);
    if (pieces.size === 0) pieces.set(anchor, pieceOf(anchorText));
    const words = [...pieces.keys()];
    // One and the same incomplete token: two different ones could be halves of a character.
    if (incomplete !== -1) pieces.set(incomplete, { text: '', json: '""', isIncomplete: true });
    const ids = words.flatMap((id, index) =>
      incomplete !== -1 && index % incompleteEvery === 7 ? [incomplete] : [id],
    );
    return new OutputVocabulary(tokenizer, Uint32Array.from(ids), pieces);
  }

  /** Depends on the request's seed and the position alone, where the request has no script. */
  sampler(): SampleToken {
    const draw = seededToken(this.#ids.length);
    return (request: EngineRequest) =>
      this.#scripts.get(request)?.ids[request.outputTokens] ?? this.#ids[draw(request)]!;
  }

  async script(text: string): Promise<Script> {
    const ids = await this.#tokenizer.encode(text, { addSpecialTokens: false });
    // Behind another token, since some tokenizers drop the space before the first.
    const anchor = (await this.#tokenizer.encode('a', { addSpecialTokens: false }))[0] ?? 0;
    const anchorText = await this.#tokenizer.decode([anchor]);
    const pieces: Piece[] = [];
    let open: number[] = [];
    for (const id of ids) {
      open.push(id);
      const decoded = (await this.#tokenizer.decode([anchor, ...open])).slice(anchorText.length);
      const isIncomplete = decoded.endsWith(replacement) && open.length < characterTokensMax;
      pieces.push(isIncomplete ? { text: '', json: '""', isIncomplete } : pieceOf(decoded));
      if (!isIncomplete) open = [];
    }
    return { ids, pieces };
  }

  /** From now on the request is answered by the script. */
  follow(request: EngineRequest, script: Script): void {
    this.#scripts.set(request, script);
  }

  reader(request: EngineRequest): PieceReader {
    const script = this.#scripts.get(request);
    if (script === undefined) return new Detokenizer(this);
    let at = 0;
    return { next: () => script.pieces[at++]! };
  }

  /** A word to tell as an alternative. @param draw any integer */
  word(draw: number): string {
    return this.piece(this.#ids[(draw >>> 0) % this.#ids.length]!).text;
  }

  /** @param id one that the sampler gave */
  piece(id: number): Piece {
    const piece = this.#pieces.get(id);
    if (piece === undefined) throw new Error(`token ${id} is not in the output vocabulary`);
    return piece;
  }
}

/** Turns the tokens of one choice into text as vLLM does: nothing while a character is incomplete. */
export class Detokenizer implements PieceReader {
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

// Output tokens of a simulated engine, and the text that each adds to a stream.

import { Random } from '../core/random.ts';
import type { EngineRequest, SampleToken } from '../sim/index.ts';
import { seededToken } from '../sim/index.ts';
import type { Tokenizer } from '../tokens/tokenizer.ts';

/** Distinct output tokens: enough to look like text, few enough to be decoded at the start. */
const wordsMax = 2048;
/** With fewer whole words than this, word parts are used too. */
const wholeWordsMin = 128;
/** Ids drawn in search of words. */
const drawsMax = 16_384;
/** One in this many tokens is an incomplete character. */
const incompleteEvery = 64;
/** One in this many tokens ends a greedy answer. */
const greedyTokensMean = 128;
const replacement = '\ufffd';
/** Most tokens per character: one per byte. */
const characterTokensMax = 4;

export interface Piece {
  readonly text: string;
  /** `text` as a JSON string. */
  readonly json: string;
  /** An incomplete character, without text: its text comes with the next complete token. */
  readonly isIncomplete: boolean;
}

/** A scripted answer: its tokens and the text that each adds. */
export interface Script {
  readonly ids: Uint32Array;
  readonly pieces: readonly Piece[];
}

/** Returns the texts of the tokens of one choice, in order. */
export interface PieceReader {
  next(id: number): Piece;
}

export class OutputVocabulary {
  readonly #tokenizer: Tokenizer;
  readonly #ids: Uint32Array;
  readonly #pieces: ReadonlyMap<number, Piece>;
  /** Ids of whole words, if there are any: their text has these tokens, whatever comes before it. */
  readonly #words: Uint32Array;
  readonly #scripts = new WeakMap<EngineRequest, Script>();

  private constructor(tokenizer: Tokenizer, ids: Uint32Array, pieces: ReadonlyMap<number, Piece>) {
    this.#tokenizer = tokenizer;
    this.#ids = ids;
    this.#pieces = pieces;
    const words = ids.filter((id) => /^ \p{L}+$/u.test(pieces.get(id)?.text ?? ''));
    this.#words = words.length > 0 ? words : ids;
  }

  /** Draws plain words and, if the vocabulary has one, a token that is an incomplete character. */
  static async load(tokenizer: Tokenizer, seed: number): Promise<OutputVocabulary> {
    const random = new Random(seed);
    // Decode each token after another one, because some tokenizers drop the space before the first.
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
    // A client that tokenizes the answer gets the same tokens for whole words, but not for word parts.
    if (pieces.size < wholeWordsMin) for (const [id, piece] of others) pieces.set(id, piece);
    if (pieces.size === 0) pieces.set(anchor, pieceOf(anchorText));
    const words = [...pieces.keys()];
    // Only one incomplete token: two different ones could form a character.
    if (incomplete !== -1) pieces.set(incomplete, { text: '', json: '""', isIncomplete: true });
    const ids = words.flatMap((id, index) =>
      incomplete !== -1 && index % incompleteEvery === 7 ? [incomplete] : [id],
    );
    return new OutputVocabulary(tokenizer, Uint32Array.from(ids), pieces);
  }

  /** Without a script the token depends only on the request's seed and the position. */
  sampler(): SampleToken {
    const draw = seededToken(this.#ids.length);
    return (request: EngineRequest) =>
      this.#scripts.get(request)?.ids[request.outputTokens] ?? this.#ids[draw(request)]!;
  }

  /**
   * The answer of a request without chance: each token depends only on the one before it and the number of all before
   * it, the prompt's included, so another engine that is given the beginning goes on with the same tokens.
   */
  greedyScript(
    prompt: Uint32Array,
    tokensMax: number,
    { ignoreEos, outputTokensMin }: { readonly ignoreEos: boolean; readonly outputTokensMin: number },
  ): Script {
    const ids: number[] = [];
    let last = prompt.at(-1) ?? 0;
    for (let end = false; !end && ids.length < tokensMax; ) {
      const draw = mixed(last, prompt.length + ids.length);
      last = this.#words[draw % this.#words.length]!;
      ids.push(last);
      end = !ignoreEos && ids.length >= outputTokensMin && (draw >>> 16) % greedyTokensMean === 0;
    }
    return { ids: Uint32Array.from(ids), pieces: ids.map((id) => this.piece(id)) };
  }

  async script(text: string): Promise<Script> {
    const ids = await this.#tokenizer.encode(text, { addSpecialTokens: false });
    // Decode after another token, because some tokenizers drop the space before the first.
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

  /** Makes the request answer with the script. */
  follow(request: EngineRequest, script: Script): void {
    this.#scripts.set(request, script);
  }

  reader(request: EngineRequest): PieceReader {
    const script = this.#scripts.get(request);
    if (script === undefined) return new Detokenizer(this);
    let at = 0;
    return { next: () => script.pieces[at++]! };
  }

  /** A word to report as an alternative. @param draw any integer */
  word(draw: number): string {
    return this.piece(this.#ids[(draw >>> 0) % this.#ids.length]!).text;
  }

  /** @param id a token id from the sampler */
  piece(id: number): Piece {
    const piece = this.#pieces.get(id);
    if (piece === undefined) throw new Error(`token ${id} is not in the output vocabulary`);
    return piece;
  }
}

/** Converts the tokens of one choice to text like vLLM: no text while a character is incomplete. */
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

/** A hash of two integers, as one of 32 bits. */
function mixed(a: number, b: number): number {
  let z = (Math.imul(a + 1, 0x9e3779b1) + Math.imul(b + 1, 0x85ebca77)) | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}

function pieceOf(text: string): Piece {
  return { text, json: JSON.stringify(text), isIncomplete: false };
}

// Request bodies of the gateway bench: each is unique, and half of its prompt is one of ten shared beginnings.

import type { BlockHasher } from '../../src/core/index.ts';
import { type BuiltinTokenizer, JsonText } from '../../src/tokens/index.ts';
import { type TextKind, TextWriter } from './texts.ts';

export const blockSize = 16;
export const mockModel = 'mock-model';
export const sharedBeginnings = 10;

/** One user message, or the shared half as a system message before it. */
export const bodyShapes = ['user', 'system+user'] as const;
export type BodyShape = (typeof bodyShapes)[number];

export interface BenchBody {
  /** Sent as `seed`, so that a mock engine can identify the body. */
  readonly number: number;
  readonly bytes: Buffer;
}

export interface BodiesOptions {
  readonly kind: TextKind;
  readonly words: readonly string[];
  readonly promptWords: number;
  /** Tokens of an answer. */
  readonly outputTokens: number;
  readonly seed: number;
}

/** The prompt of a body in tokens and block hashes. */
export interface PromptBlocks {
  readonly ids: Uint32Array;
  /** Two words per block. */
  readonly sequence: Uint32Array;
  readonly count: number;
  /** Prompts with the same value have the same first blocks. */
  readonly beginning: number;
}

export class Bodies {
  readonly #options: BodiesOptions;
  readonly #beginnings: readonly string[];
  readonly #writer: TextWriter;
  readonly #written: { readonly messages: string; readonly beginning: number }[] = [];

  constructor(options: BodiesOptions) {
    const { kind, words, seed, promptWords } = options;
    this.#options = options;
    const writer = new TextWriter(kind, words, seed);
    this.#beginnings = Array.from({ length: sharedBeginnings }, () => writer.write(promptWords / 2));
    this.#writer = writer;
  }

  /** Writes more bodies. */
  write(count: number, shape: BodyShape): BenchBody[] {
    const { promptWords, outputTokens } = this.#options;
    return Array.from({ length: count }, () => {
      const number = this.#written.length;
      const shared = this.#beginnings[number % sharedBeginnings]!;
      const own = this.#writer.write(promptWords - promptWords / 2);
      const messages = JSON.stringify(
        shape === 'user'
          ? [{ role: 'user', content: `${shared}\n\n${own}` }]
          : [
              { role: 'system', content: shared },
              { role: 'user', content: own },
            ],
      );
      this.#written.push({
        messages,
        beginning: (number % sharedBeginnings) + sharedBeginnings * bodyShapes.indexOf(shape),
      });
      const rest = `"stream":true,"stream_options":{"include_usage":true},"max_tokens":${outputTokens},"seed":${number}`;
      return { number, bytes: Buffer.from(`{"model":"${mockModel}","messages":${messages},${rest}}`) };
    });
  }

  /** A body's prompt as an engine with the built-in tokenizer sees it. */
  blocksOf(number: number, tokenizer: BuiltinTokenizer, hasher: BlockHasher): PromptBlocks {
    const { messages, beginning } = this.#written[number]!;
    const encoded = tokenizer.encodeChat({ messages: new JsonText(messages) });
    if (encoded instanceof Promise) throw new Error('the built-in tokenizer answers at once');
    const { sequence, count } = hasher.hash(encoded.ids, blockSize);
    return { ids: encoded.ids, sequence, count, beginning };
  }
}

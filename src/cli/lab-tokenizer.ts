// Lazily loaded tokenizer: few traces contain text, and loading a vocabulary takes a while.

import { loadTokenizer, type Tokenizer } from '../tokens/index.ts';

export class TokenizerOnDemand implements Pick<Tokenizer, 'encode' | 'close'> {
  readonly #spec: string;
  #loading: Promise<Tokenizer> | undefined;

  /** @param spec as for `loadTokenizer` */
  constructor(spec: string) {
    this.#spec = spec;
  }

  async encode(...input: Parameters<Tokenizer['encode']>): Promise<Uint32Array> {
    this.#loading ??= loadTokenizer(this.#spec);
    return (await this.#loading).encode(...input);
  }

  async close(): Promise<void> {
    await (await this.#loading)?.close();
  }
}

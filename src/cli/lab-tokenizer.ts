// Lazily loaded tokenizer: few traces contain text, and loading its modules and a vocabulary takes a while.

import type { Tokenizer } from '../tokens/tokenizer.ts';

export class TokenizerOnDemand implements Pick<Tokenizer, 'encode' | 'close'> {
  readonly #spec: string;
  #loading: Promise<Tokenizer> | undefined;

  /** @param spec as for `loadTokenizer` */
  constructor(spec: string) {
    this.#spec = spec;
  }

  async encode(...input: Parameters<Tokenizer['encode']>): Promise<Uint32Array> {
    this.#loading ??= this.#load();
    return (await this.#loading).encode(...input);
  }

  async #load(): Promise<Tokenizer> {
    const { loadTokenizer } = await import('../tokens/index.ts');
    return loadTokenizer(this.#spec);
  }

  async close(): Promise<void> {
    await (await this.#loading)?.close();
  }
}

// The gateway's tokenizers: one for each value of the setting `tokenizer`, which pools may have for themselves.

import { loadTokenizer } from '../../tokens/load-tokenizer.ts';
import type { Tokenizer } from '../../tokens/tokenizer.ts';
import type { GatewayConfig } from '../config/config.ts';

/** Values for which the gateway has no tokenizer. */
const without: ReadonlySet<string> = new Set(['engine', 'none']);

/** @param spec the value of the setting that named it */
type OnNotice = (spec: string, notice: string) => void;
type TokenizerSettings = Pick<GatewayConfig, 'tokenizer' | 'pools'>;

export class Tokenizers {
  readonly #onNotice: OnNotice;
  readonly #loaded = new Map<string, Tokenizer>();

  private constructor(onNotice: OnNotice) {
    this.#onNotice = onNotice;
  }

  /** Loads those that the configuration names. @throws TokenizerError */
  static async load(config: TokenizerSettings, onNotice: OnNotice): Promise<Tokenizers> {
    const tokenizers = new Tokenizers(onNotice);
    await tokenizers.prepare(config);
    return tokenizers;
  }

  /** Loads those that are missing. The others stay: requests may be using them. @throws TokenizerError */
  async prepare({ tokenizer, pools }: TokenizerSettings): Promise<void> {
    const specs = new Set([tokenizer, ...pools.map((pool) => pool.tokenizer ?? tokenizer)]);
    for (const spec of specs) {
      if (without.has(spec) || this.#loaded.has(spec)) continue;
      // An unusable chat template is not an error: engines have their own.
      const options = { onNotice: (notice: string) => this.#onNotice(spec, notice), templateOptional: true };
      const tokenizer = await loadTokenizer(spec, options);
      // Two calls may have loaded it at a time.
      if (this.#loaded.has(spec)) await tokenizer.close();
      else this.#loaded.set(spec, tokenizer);
    }
  }

  /** Null: engines tokenize or nothing does, or it has not been loaded. */
  of(spec: string): Tokenizer | null {
    return this.#loaded.get(spec) ?? null;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#loaded.values()].map((tokenizer) => tokenizer.close()));
  }
}

// Counts prompts that are routed by bytes for lack of token ids, and logs them at a limited rate.

import type { Logger } from 'pino';
import type { TokenizerError, TokenizerErrorCode } from '../../tokens/tokenizer.ts';

/** Minimum time between warnings with the same cause. */
const silenceMs = 10_000;

export class TokenizerFailures {
  readonly #count: (code: TokenizerErrorCode) => void;
  readonly #log: Logger;
  readonly #saidMs = new Map<TokenizerErrorCode, number>();
  readonly #unsaid = new Map<TokenizerErrorCode, number>();

  constructor(count: (code: TokenizerErrorCode) => void, log: Logger) {
    this.#count = count;
    this.#log = log;
  }

  note({ code, message }: TokenizerError, requestId: string, nowMs: number): void {
    this.#count(code);
    const unsaid = this.#unsaid.get(code) ?? 0;
    if (nowMs - (this.#saidMs.get(code) ?? Number.NEGATIVE_INFINITY) < silenceMs) {
      this.#unsaid.set(code, unsaid + 1);
      this.#log.debug({ requestId, code, reason: message }, 'prompt routed by its bytes');
      return;
    }
    this.#saidMs.set(code, nowMs);
    this.#unsaid.delete(code);
    this.#log.warn({ requestId, code, reason: message, moreSinceLastLine: unsaid }, 'prompt routed by its bytes');
  }
}

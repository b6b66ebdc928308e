// Estimates tokens per image or other non-text part from reported usage.

/** Before anything is learned: an image of medium size. */
const initialTokensPerPart = 1024;
const tokensPerPartMin = 1;
const tokensPerPartMax = 65_536;
/** Weight of the newest prompt in the estimate. */
const newestShare = 0.05;

export class PartTokens {
  #tokensPerPart = initialTokensPerPart;

  get tokensPerPart(): number {
    return this.#tokensPerPart;
  }

  /** @param tokens of all parts of a prompt: the engine's count beyond its text */
  observe(parts: number, tokens: number): void {
    if (parts === 0) return;
    const seen = Math.min(Math.max(tokens / parts, tokensPerPartMin), tokensPerPartMax);
    this.#tokensPerPart += newestShare * (seen - this.#tokensPerPart);
  }
}

// How many tokens an image or another part that is no text makes, learnt from the usage that engines report.

/** Before anything was learnt: an image of middling size. */
const initialTokensPerPart = 1024;
const tokensPerPartMin = 1;
const tokensPerPartMax = 65_536;
/** Share of the newest prompt in the estimate. */
const newestShare = 0.05;

export class PartTokens {
  #tokensPerPart = initialTokensPerPart;

  get tokensPerPart(): number {
    return this.#tokensPerPart;
  }

  /** @param tokens of all parts of a prompt: what the engine counted beyond its text */
  observe(parts: number, tokens: number): void {
    if (parts === 0) return;
    const seen = Math.min(Math.max(tokens / parts, tokensPerPartMin), tokensPerPartMax);
    this.#tokensPerPart += newestShare * (seen - this.#tokensPerPart);
  }
}

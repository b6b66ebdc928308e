// Estimates prompt bytes per token from reported usage, for pools without a tokenizer.

/** Before anything is learned. */
const initialBytesPerToken = 4;
const bytesPerTokenMin = 0.25;
const bytesPerTokenMax = 64;
/** Weight of the newest prompt in the estimate. */
const newestShare = 0.05;

export class ByteRatio {
  #bytesPerToken = initialBytesPerToken;

  get bytesPerToken(): number {
    return this.#bytesPerToken;
  }

  observe(promptBytes: number, promptTokens: number): void {
    if (promptBytes === 0 || promptTokens === 0) return;
    const seen = Math.min(Math.max(promptBytes / promptTokens, bytesPerTokenMin), bytesPerTokenMax);
    this.#bytesPerToken += newestShare * (seen - this.#bytesPerToken);
  }
}

// Predicted and actual cached tokens of the requests of a phase.

export class Predictions {
  readonly #errors: number[] = [];
  readonly #wrong: string[] = [];
  promptTokens = 0;
  cachedTokens = 0;

  /** @param actual null: not reported, which counts as wrong */
  add(requestId: string, predicted: number, actual: number | null): void {
    const error = actual === null ? Number.NaN : Math.abs(predicted - actual);
    this.#errors.push(error);
    if (error !== 0) this.#wrong.push(`${requestId}: predicted ${predicted}, actual ${actual ?? 'unknown'}`);
  }

  get count(): number {
    return this.#errors.length;
  }

  get exact(): number {
    return this.count - this.#wrong.length;
  }

  /** The wrong predictions, as text. */
  get wrong(): readonly string[] {
    return this.#wrong;
  }

  get meanError(): number {
    return this.#errors.reduce((sum, error) => sum + error, 0) / this.count;
  }

  /** The smallest error that at least this share of the requests does not exceed. */
  errorQuantile(part: number): number {
    const sorted = this.#errors.toSorted((a, b) => a - b);
    return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN;
  }
}

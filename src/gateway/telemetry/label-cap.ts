// Bounds the number of values of a metric label.

/** Replaces all values beyond the bound. */
export const otherLabel = '(other)';

export class LabelCap {
  readonly #valuesMax: number;
  readonly #values = new Set<string>();

  constructor(valuesMax: number) {
    this.#valuesMax = valuesMax;
  }

  of(value: string): string {
    if (this.#values.has(value)) return value;
    if (this.#values.size >= this.#valuesMax) return otherLabel;
    this.#values.add(value);
    return value;
  }
}

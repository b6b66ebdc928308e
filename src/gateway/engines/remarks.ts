// What an engine says of itself and nobody can use: collected while it is asked, for the log and for `/workers`.

const remarksMax = 16;
const remarkLengthMax = 300;

export class Remarks {
  readonly #texts = new Set<string>();

  /** One that was made before, or one too many, is left out. */
  add(text: string): void {
    if (this.#texts.size < remarksMax) this.#texts.add(shortened(text, remarkLengthMax));
  }

  get texts(): readonly string[] {
    return [...this.#texts];
  }
}

/** A text of an engine, as it may be shown. */
export function quoted(value: unknown): string {
  return JSON.stringify(shortened(String(value), 64));
}

function shortened(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax)}...`;
}

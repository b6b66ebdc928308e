// Collects unusable statements of an engine, for the log and for `/workers`.

const remarksMax = 16;
const remarkLengthMax = 300;

export class Remarks {
  readonly #texts = new Set<string>();

  /** Ignores duplicates, and remarks beyond the limit. */
  add(text: string): void {
    if (this.#texts.size < remarksMax) this.#texts.add(shortened(text, remarkLengthMax));
  }

  get texts(): readonly string[] {
    return [...this.#texts];
  }
}

/** An engine's text, shortened and quoted for display. */
export function quoted(value: unknown): string {
  return JSON.stringify(shortened(shown(String(value)), 64));
}

/** An engine's text without the characters that a terminal obeys. */
export function shown(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}

function shortened(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax)}...`;
}

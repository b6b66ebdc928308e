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

/** An engine's text, shortened and quoted for display. Objects have none: some can't even be turned into one. */
export function quoted(value: unknown): string {
  return JSON.stringify(shortened(shown(plainText(value)), 64));
}

/** A value of an engine's JSON as text. */
export function plainText(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  return Array.isArray(value) ? '[...]' : '{...}';
}

/** An engine's text without the characters that a terminal obeys. */
export function shown(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}

function shortened(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax)}...`;
}

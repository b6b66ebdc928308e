// What an operation asks: its fields as plain values, and its prompt, which may be long and is read apart from them.

import type { Fields } from '../inference/request-fields.ts';
import { type Given, givenPrompt } from './given-prompt.ts';
import { plain } from './plain-values.ts';

export abstract class Asked {
  abstract names(): Iterable<string>;
  /**
   * Undefined if absent or null, as for clients' requests; empty in place of what only the prompt is read from.
   * @throws RequestError 400 if it has too many values
   */
  abstract value(name: string): unknown;
  /** @throws RequestError 400 naming the field */
  abstract prompt(): Given;

  /** Null if it is no text. */
  text(name: string): string | null {
    try {
      const value = this.value(name);
      return typeof value === 'string' ? value : null;
    } catch {
      return null;
    }
  }
}

/** As it stands in a query or in a body. */
export class AskedHere extends Asked {
  readonly #fields: Fields;

  constructor(fields: Fields) {
    super();
    this.#fields = fields;
  }

  names(): Iterable<string> {
    return this.#fields.names();
  }

  value(name: string): unknown {
    return plain(this.#fields.value(name), name);
  }

  prompt(): Given {
    return givenPrompt(this.#fields);
  }
}

/** Until it has been read: a reservation may wait for a worker for minutes, and would keep the body for so long. */
export class AskedUntilRead extends Asked {
  #asked: Asked | null;
  readonly #onRead: (keptBytes: number) => void;

  /** @param onRead called once, with the bytes that are kept of it */
  constructor(asked: Asked, onRead: (keptBytes: number) => void) {
    super();
    this.#asked = asked;
    this.#onRead = onRead;
  }

  /** Forgets it: what counts of it is known. Calls after the first do nothing. @param keptBytes memory of that */
  read(keptBytes: number): void {
    if (this.#asked === null) return;
    this.#asked = null;
    this.#onRead(keptBytes);
  }

  names(): Iterable<string> {
    return this.#asked?.names() ?? [];
  }

  value(name: string): unknown {
    return this.#asked?.value(name);
  }

  prompt(): Given {
    if (this.#asked === null) throw new Error('a prompt is read once');
    return this.#asked.prompt();
  }
}

// The fields of an operation, until they have been read: a reservation may wait for a worker for minutes, and would keep
// the body for so long.

import type { JsonText } from '../../tokens/exact-json.ts';
import type { Json } from '../../tokens/json-values.ts';
import { Fields } from '../inference/request-fields.ts';

export class AskedFields extends Fields {
  #fields: Fields | null;
  readonly #onRead: (keptBytes: number) => void;

  /** @param onRead called once, with the bytes that are kept of them */
  constructor(fields: Fields, onRead: (keptBytes: number) => void) {
    super();
    this.#fields = fields;
    this.#onRead = onRead;
  }

  /** Forgets them: what counts of them is known. Calls after the first do nothing. @param keptBytes memory of that */
  read(keptBytes: number): void {
    if (this.#fields === null) return;
    this.#fields = null;
    this.#onRead(keptBytes);
  }

  names(): Iterable<string> {
    return this.#fields?.names() ?? [];
  }

  value(name: string): Json {
    return this.#fields?.value(name) ?? null;
  }

  json(name: string): JsonText | null {
    return this.#fields?.json(name) ?? null;
  }
}

// The fields of an operation as a query has them: for short prompts and for looking around; longer ones go in a body.

import type { JsonText } from '../../tokens/exact-json.ts';
import type { Json } from '../../tokens/json-values.ts';
import { Fields, invalid } from '../inference/request-fields.ts';

type Reader = (text: string, name: string) => Json;

const asText: Reader = (text) => text;

const asInteger: Reader = (text, name) => {
  if (!/^\d{1,15}$/.test(text)) throw invalid(name, `${name} must be an integer`);
  return Number(text);
};

/** Not base64, which a query would have to escape, and which may look like a list. */
const asTokens: Reader = (text, name) => {
  if (!/^\d{1,10}(,\d{1,10})*$/.test(text)) throw invalid(name, `${name} must be token ids with commas: 1,2,3`);
  return text.split(',').map(Number);
};

const promptReaders = { model: asText, lora: asText, salt: asText, text: asText, tokens: asTokens };
const choiceReaders = { max_tokens: asInteger, n: asInteger };

/** Names of the fields of a prompt, and of a choice, that a query may have. */
export const promptQuery: readonly string[] = Object.keys(promptReaders);
export const choiceQuery: readonly string[] = [...promptQuery, ...Object.keys(choiceReaders)];

const readers: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ...Object.entries(promptReaders),
  ...Object.entries(choiceReaders),
]);

export class QueryFields extends Fields {
  readonly #values = new Map<string, Json>();

  /** @throws RequestError 400 naming the field */
  constructor(query: string) {
    super();
    for (const [name, text] of new URLSearchParams(query)) {
      const read = readers.get(name);
      if (read === undefined) throw invalid(name, `${name} is not a field of this query; a body takes more (POST)`);
      if (this.#values.has(name)) throw invalid(name, `the query has ${name} twice`);
      this.#values.set(name, read(text, name));
    }
  }

  names(): Iterable<string> {
    return this.#values.keys();
  }

  value(name: string): Json {
    return this.#values.get(name) ?? null;
  }

  /** No field of a query is passed on as JSON. */
  json(): JsonText | null {
    return null;
  }
}

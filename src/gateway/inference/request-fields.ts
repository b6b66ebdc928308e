// The members of a request's body: JSON as it was written, read member by member, each checked where it is asked for.

import { JsonText } from '../../tokens/exact-json.ts';
import { type JsonMember, type JsonOptions, JsonReader } from '../../tokens/json-reader.ts';
import { isJsonObject, type Json, JsonError, JsonFloat } from '../../tokens/json-values.ts';
import { RequestError } from '../../wire/openai-error.ts';

/** Values of a member are kept beside its text if they are few: a long text is one value. */
const keptValuesMax = 5000;

export class RequestFields {
  readonly #text: string;
  readonly #reader: JsonReader;

  constructor(body: Buffer, options: JsonOptions) {
    this.#text = body.toString('utf8');
    this.#reader = new JsonReader(this.#text, options);
  }

  /**
   * Reads on. @returns whether all is read
   * @throws RequestError 400 if the body is no JSON object, or beyond what one may be
   */
  read(unitsMax: number): boolean {
    try {
      if (!this.#reader.read(unitsMax)) return false;
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      if (error.limit !== null) throw new RequestError(400, 'json_limit', `the body: ${error.message}`);
      throw new RequestError(400, 'invalid_json', `the body is not JSON: ${error.message}`);
    }
    if (isJsonObject(this.#reader.value)) return true;
    throw new RequestError(400, 'invalid_json', 'the body must be a JSON object');
  }

  /** Null for what is absent. A list of token ids may be a typed array, where such were asked for. */
  value(name: string): Json {
    return this.#member(name)?.value ?? null;
  }

  /** Null for what is absent, or null itself. */
  json(name: string): JsonText | null {
    const member = this.#member(name);
    if (member === undefined || member.value === null) return null;
    const text = this.#text.slice(member.start, member.end);
    return member.values <= keptValuesMax ? new JsonText(text, member.value) : new JsonText(text);
  }

  integer(name: string, min: number, max: number): number | null {
    const given = this.value(name);
    if (given === null) return null;
    const value = given instanceof JsonFloat ? given.value : given;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      throw invalid(name, `${name} must be an integer from ${min} to ${max}`);
    }
    return value;
  }

  text(name: string): string | null {
    const value = this.value(name);
    if (value === null) return null;
    if (typeof value !== 'string') throw invalid(name, `${name} must be a string`);
    return value;
  }

  flag(name: string): boolean | null {
    const value = this.value(name);
    if (value === null) return null;
    if (typeof value !== 'boolean') throw invalid(name, `${name} must be true or false`);
    return value;
  }

  #member(name: string): JsonMember | undefined {
    return this.#reader.members.get(name);
  }
}

export function invalid(param: string, message: string): RequestError {
  return new RequestError(400, 'invalid_value', message, param);
}

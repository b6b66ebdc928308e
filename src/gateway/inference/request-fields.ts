// The fields of a request body, with exact JSON text, each checked when it is read.

import { isAscii } from 'node:buffer';
import { writeJson } from '../../tokens/chat-question.ts';
import { JsonText } from '../../tokens/exact-json.ts';
import { type JsonMember, type JsonOptions, JsonReader } from '../../tokens/json-reader.ts';
import { isJsonObject, type Json, JsonError, JsonFloat, type JsonObject } from '../../tokens/json-values.ts';
import { LongText } from '../../tokens/long-text.ts';
import { RequestError } from '../../wire/openai-error.ts';

/** A field's parsed value is kept beside its text only if it has at most this many values. */
const keptValuesMax = 5000;
/** A longer text may be kept as bytes. */
const keptCharsMax = 1024;

/** The fields of a JSON object. */
export abstract class Fields {
  abstract names(): Iterable<string>;
  /** Null if absent. A list of token ids may be a typed array if it was read so. */
  abstract value(name: string): Json;
  /** Null if absent or null. */
  abstract json(name: string): JsonText | null;

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
}

/** The fields of an object inside a body. */
export class ObjectFields extends Fields {
  readonly #object: JsonObject;

  constructor(object: JsonObject) {
    super();
    this.#object = object;
  }

  names(): Iterable<string> {
    return this.#object.keys();
  }

  value(name: string): Json {
    return this.#object.get(name) ?? null;
  }

  json(name: string): JsonText | null {
    const value = this.value(name);
    return value === null ? null : new JsonText(writeJson(value), value);
  }
}

/** A smaller body is parsed in one go: at most 5 ms, whatever it holds. */
export const inlineBytesMax = 131_072;
/** A larger body is read by a thread: what can't be done in parts, such as decoding, would take more than 5 ms here. */
export const readHereBytesMax = 524_288;
/** Units of a larger body parsed per turn of the event loop: about 4 ms. */
const unitsPerTurn = 16_384;

export class RequestFields extends Fields {
  /** Length of the body. */
  readonly bytes: number;
  readonly #text: string;
  readonly #reader: JsonReader;
  /** Bytes of the text, one for each character; null: not so. */
  readonly #ascii: Buffer | null;

  /** @param keepsBytes long texts of fields are parts of the body's memory, where that is possible */
  constructor(body: Buffer, options: JsonOptions, keepsBytes = false) {
    super();
    this.bytes = body.length;
    this.#ascii = keepsBytes && isAscii(body) ? body : null;
    this.#text = body.toString('utf8');
    this.#reader = new JsonReader(this.#text, options);
  }

  /**
   * Parses up to `unitsMax` more units.
   * @returns true once all is parsed
   * @throws RequestError 400 if the body is not a JSON object, or exceeds a limit
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

  /** Parses all of a large body, a few milliseconds at a time. @throws RequestError as `read` */
  *steps(): Generator<void, void> {
    while (!this.read(unitsPerTurn)) yield;
  }

  /**
   * Parses all of a large body. @param turn settles in a later turn of the event loop; called between two parts
   * @throws RequestError as `read`, as a rejection
   */
  async readInTurns(turn: () => Promise<unknown>): Promise<void> {
    for (const _ of this.steps()) await turn();
  }

  names(): Iterable<string> {
    return this.#reader.members.keys();
  }

  /** Number of values in all members. */
  get values(): number {
    let values = 0;
    for (const member of this.#reader.members.values()) values += member.values;
    return values;
  }

  has(name: string): boolean {
    return this.#member(name) !== undefined;
  }

  /** Whether the body has the field more than once. */
  repeats(name: string): boolean {
    return this.#reader.repeated.has(name);
  }

  /** Null if absent. A list of token ids may be a typed array if `tokenLists` was set. */
  value(name: string): Json {
    return this.#member(name)?.value ?? null;
  }

  /** Null if absent or null. */
  json(name: string): JsonText | null {
    const member = this.#member(name);
    if (member === undefined || member.value === null) return null;
    const { start, end } = member;
    const isLong = this.#ascii !== null && end - start > keptCharsMax;
    const text = isLong ? new LongText(this.#ascii!.subarray(start, end), end - start) : this.#text.slice(start, end);
    return member.values <= keptValuesMax ? new JsonText(text, member.value) : new JsonText(text);
  }

  #member(name: string): JsonMember | undefined {
    return this.#reader.members.get(name);
  }
}

export function invalid(param: string, message: string): RequestError {
  return new RequestError(400, 'invalid_value', message, param);
}

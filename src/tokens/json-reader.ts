// Reads JSON in steps: linear in its length, without recursion, within limits.

import { type Json, JsonError, JsonFloat, jsonDepthMax, jsonNameCharsMax, jsonValuesMax } from './json-values.ts';
import { TokenList } from './token-list.ts';

/** As in Python. */
const integerDigitsMax = 4300;

export interface JsonOptions {
  /** Accept `NaN`, `Infinity` and `-Infinity` as numbers, as Python does. Default false. */
  readonly constants?: boolean;
  /**
   * Keep lists of integers from 0 to 2^32 - 1 as typed arrays, which count as bytes, not as values: all, or where the
   * function says so. It gets the number of containers around the list, and each object's current member.
   */
  readonly tokenLists?: boolean | ((depth: number, names: readonly string[]) => boolean);
  /** False: the text is known to have no control characters, so that strings are not searched for them. Default true. */
  readonly hasControls?: boolean;
}

/** A member of the outermost object: its value and the position of its text. */
export interface JsonMember {
  readonly value: Json;
  readonly start: number;
  readonly end: number;
  /** Number of values it contains. */
  readonly values: number;
}

type Container = Json[] | Map<string, Json>;

const quoteCode = 0x22;
const commaCode = 0x2c;
const colonCode = 0x3a;
const openArrayCode = 0x5b;
const backslashCode = 0x5c;
const closeArrayCode = 0x5d;
const openObjectCode = 0x7b;
const closeObjectCode = 0x7d;

/** What may follow. */
type Next = 'value' | 'value-or-end' | 'name' | 'name-or-end' | 'colon' | 'comma-or-end' | 'end';

/** Characters that cost as much as one value: native code skips the text of strings. */
const charsPerUnit = 256;
/** Whitespace skipped in one step. */
const spaceCharsMax = 65_536;
const number = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const constant = /NaN|-?Infinity/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a JSON string may not hold
const control = /[\u0000-\u001f]/;
const literals: readonly (readonly [string, Json])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
];

/** Reads one document in steps; linear in its length, without recursion. */
export class JsonReader {
  readonly #text: string;
  readonly #options: JsonOptions;
  readonly #hasControls: boolean;
  readonly #containers: Container[] = [];
  readonly #names: string[] = [];
  readonly #members = new Map<string, JsonMember>();
  readonly #repeated = new Set<string>();
  #next: Next = 'value';
  #at = 0;
  #values = 0;
  #units = 0;
  /** Start of the current string, and where its end is searched next; -1 if there is none. */
  #stringFrom = -1;
  #stringAt = 0;
  #memberFrom = 0;
  #memberValues = 0;
  #tokens: TokenList | null = null;
  #value: Json = null;
  #unitsMax = 0;

  constructor(text: string, options: JsonOptions = {}) {
    this.#text = text;
    this.#options = options;
    this.#hasControls = options.hasControls ?? true;
  }

  /** The document, once `read` has returned true. */
  get value(): Json {
    return this.#value;
  }

  /** Members of the outermost object; the last of equal names. */
  get members(): ReadonlyMap<string, JsonMember> {
    return this.#members;
  }

  /** Names that the outermost object has more than once: JSON readers differ in which one counts. */
  get repeated(): ReadonlySet<string> {
    return this.#repeated;
  }

  /**
   * Continues reading.
   * @param unitsMax approximate number of values, or runs of 256 characters, to read; each takes at most 0.2
   * microseconds
   * @returns whether everything is read
   * @throws JsonError
   */
  read(unitsMax: number): boolean {
    this.#units = 0;
    this.#unitsMax = unitsMax;
    while (this.#units < unitsMax) {
      if (this.#tokens !== null ? this.#readTokens(this.#tokens) : this.#step()) return true;
    }
    return false;
  }

  #step(): boolean {
    if (this.#stringFrom === -1) {
      if (!this.#skipSpace()) return false;
      if (this.#at >= this.#text.length) {
        if (this.#next === 'end') return true;
        throw this.#unexpected();
      }
    }
    this.#units++;
    switch (this.#next) {
      case 'value':
      case 'value-or-end':
        return this.#readValue();
      case 'name':
      case 'name-or-end':
        return this.#readName();
      case 'colon':
        return this.#readColon();
      case 'comma-or-end':
        return this.#readComma();
      case 'end':
        throw this.#unexpected();
    }
  }

  #readValue(): boolean {
    const code = this.#text.charCodeAt(this.#at);
    if (this.#containers.length === 1 && this.#stringFrom === -1) {
      this.#memberFrom = this.#at;
      this.#memberValues = this.#values;
    }
    if (code === quoteCode) {
      const text = this.#readString();
      return text === null ? false : this.#found(text);
    }
    if (code === openObjectCode || code === openArrayCode) {
      const mayBeTokens = code === openArrayCode && this.#keepsTokens();
      this.#open(code === openObjectCode ? new Map() : []);
      if (mayBeTokens) this.#tokens = new TokenList();
      return false;
    }
    if (code === closeArrayCode && this.#next === 'value-or-end') return this.#close();
    return this.#found(this.#readScalar());
  }

  #keepsTokens(): boolean {
    const { tokenLists } = this.#options;
    return typeof tokenLists === 'function' ? tokenLists(this.#containers.length, this.#names) : tokenLists === true;
  }

  #readScalar(): Json {
    number.lastIndex = this.#at;
    const match = number.exec(this.#text);
    if (match !== null) {
      this.#at = number.lastIndex;
      this.#units += match[0].length / charsPerUnit;
      if (match[1] !== undefined || match[2] !== undefined) return new JsonFloat(Number(match[0]));
      return integer(match[0]);
    }
    for (const [literal, value] of literals) {
      if (!this.#text.startsWith(literal, this.#at)) continue;
      this.#at += literal.length;
      return value;
    }
    constant.lastIndex = this.#at;
    if (this.#options.constants && constant.test(this.#text)) {
      const name = this.#text.slice(this.#at, constant.lastIndex);
      this.#at = constant.lastIndex;
      return new JsonFloat(Number(name));
    }
    throw this.#unexpected();
  }

  #readName(): boolean {
    const code = this.#text.charCodeAt(this.#at);
    if (this.#stringFrom === -1 && code === closeObjectCode && this.#next === 'name-or-end') return this.#close();
    if (code !== quoteCode) throw this.#unexpected();
    const name = this.#readString();
    if (name === null) return false;
    if (name.length > jsonNameCharsMax) {
      const message = `a name in it has more than ${jsonNameCharsMax} characters (jsonNameCharsMax)`;
      throw new JsonError(message, 'jsonNameCharsMax');
    }
    this.#names[this.#containers.length - 1] = name;
    this.#next = 'colon';
    return false;
  }

  #readColon(): boolean {
    if (this.#text.charCodeAt(this.#at) !== colonCode) throw this.#unexpected();
    this.#at++;
    this.#next = 'value';
    return false;
  }

  #readComma(): boolean {
    const isList = Array.isArray(this.#containers.at(-1));
    const code = this.#text.charCodeAt(this.#at);
    if (code === (isList ? closeArrayCode : closeObjectCode)) return this.#close();
    if (code !== commaCode) throw this.#unexpected();
    this.#at++;
    this.#next = isList ? 'value' : 'name';
    return false;
  }

  /** @returns null if the string goes on and the units are used up */
  #readString(): string | null {
    const text = this.#text;
    if (this.#stringFrom === -1) {
      this.#stringFrom = this.#at;
      this.#stringAt = this.#at + 1;
    }
    for (;;) {
      const quote = text.indexOf('"', this.#stringAt);
      if (quote === -1) throw new JsonError('a string is not terminated');
      this.#units += 0.1 + (quote - this.#stringAt) / charsPerUnit;
      let escapes = quote;
      while (text.charCodeAt(escapes - 1) === backslashCode) escapes--;
      this.#stringAt = quote + 1;
      if ((quote - escapes) % 2 === 0) return this.#endString(quote);
      if (this.#units >= this.#unitsMax) return null;
    }
  }

  #endString(quote: number): string {
    const from = this.#stringFrom;
    this.#stringFrom = -1;
    this.#at = quote + 1;
    const plain = this.#text.slice(from + 1, quote);
    if (plain.includes('\\')) {
      try {
        return JSON.parse(this.#text.slice(from, quote + 1)) as string;
      } catch {
        throw new JsonError(`the string at position ${from} is not valid`);
      }
    }
    if (this.#hasControls && control.test(plain))
      throw new JsonError(`the string at position ${from} holds a control character`);
    return plain;
  }

  /** Reads a list of token ids; a list with anything else is read the usual way. */
  #readTokens(tokens: TokenList): boolean {
    const text = this.#text;
    while (this.#units < this.#unitsMax) {
      this.#units += 0.2;
      while (!this.#skipSpace());
      const from = this.#at;
      if (tokens.length === 0 && text.charCodeAt(from) === closeArrayCode) return this.#endTokens(tokens);
      let at = from;
      let id = 0;
      for (let code = text.charCodeAt(at); code >= 0x30 && code <= 0x39; code = text.charCodeAt(++at)) {
        id = id * 10 + code - 0x30;
        if (at - from > 10) break;
      }
      const isId = at > from && id <= 0xffff_ffff && (id === 0 ? at === from + 1 : text.charCodeAt(from) !== 0x30);
      this.#at = at;
      while (isId && !this.#skipSpace());
      const after = text.charCodeAt(this.#at);
      if (!isId || (after !== commaCode && after !== closeArrayCode)) {
        this.#at = from;
        this.#endTokens(null);
        return false;
      }
      tokens.push(id);
      if (after === closeArrayCode) return this.#endTokens(tokens);
      this.#at++;
    }
    return false;
  }

  /** @param whole the complete list; null if it is not a token list and its next value must be read */
  #endTokens(whole: TokenList | null): boolean {
    const tokens = this.#tokens!;
    this.#tokens = null;
    if (whole !== null && whole.length > 0) {
      this.#containers.pop();
      this.#at++;
      return this.#found(whole.end() as unknown as Json);
    }
    const list = this.#containers.at(-1) as Json[];
    for (const id of tokens.end()) list.push(id);
    this.#count(tokens.length);
    this.#next = tokens.length === 0 ? 'value-or-end' : 'value';
    return whole === null ? false : this.#close();
  }

  #open(container: Container): void {
    this.#at++;
    this.#count(1);
    if (this.#containers.length === jsonDepthMax) {
      throw new JsonError(`it is nested deeper than the limit of ${jsonDepthMax} (jsonDepthMax)`, 'jsonDepthMax');
    }
    this.#containers.push(container);
    this.#next = Array.isArray(container) ? 'value-or-end' : 'name-or-end';
  }

  #close(): boolean {
    this.#at++;
    const container = this.#containers.pop()!;
    return this.#place(container);
  }

  /** @returns whether it was the outermost value */
  #found(value: Json): boolean {
    this.#count(1);
    return this.#place(value);
  }

  #place(value: Json): boolean {
    const depth = this.#containers.length;
    if (depth === 0) {
      this.#value = value;
      this.#next = 'end';
      return false;
    }
    const container = this.#containers[depth - 1]!;
    if (Array.isArray(container)) container.push(value);
    else {
      const name = this.#names[depth - 1]!;
      container.set(name, value);
      if (depth > 1) return this.#after();
      const values = this.#values - this.#memberValues;
      if (this.#members.has(name)) this.#repeated.add(name);
      this.#members.set(name, { value, start: this.#memberFrom, end: this.#at, values });
    }
    return this.#after();
  }

  #after(): false {
    this.#next = 'comma-or-end';
    return false;
  }

  #count(values: number): void {
    this.#values += values;
    if (this.#values <= jsonValuesMax) return;
    throw new JsonError(`it holds more than ${jsonValuesMax} values (jsonValuesMax)`, 'jsonValuesMax');
  }

  /** @returns false if the units are used up and there may be more whitespace */
  #skipSpace(): boolean {
    const text = this.#text;
    const from = this.#at;
    const max = from + spaceCharsMax;
    let at = from;
    while (at < max && isSpace(text.charCodeAt(at))) at++;
    this.#at = at;
    this.#units += (at - from) / 64;
    return at < max;
  }

  #unexpected(): JsonError {
    const at = this.#at;
    if (at >= this.#text.length) return new JsonError('the text ends too early');
    return new JsonError(`${JSON.stringify(this.#text.slice(at, at + 1))} at position ${at} is unexpected`);
  }
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function integer(text: string): number | bigint {
  // Python's integers have only one zero, so -0 becomes 0.
  if (text.length <= 15) return Number(text) + 0;
  if (text.length > integerDigitsMax) {
    const message = `an integer in it has more than ${integerDigitsMax} digits (integerDigitsMax)`;
    throw new JsonError(message, 'integerDigitsMax');
  }
  const value = BigInt(text);
  const small = Number(value);
  return Number.isSafeInteger(small) ? small : value;
}

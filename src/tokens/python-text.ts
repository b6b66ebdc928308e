// How Python writes values: str, repr and json.dumps, character for character.

import { JsonFloat } from './json-values.ts';
import type { TemplateWork } from './template-work.ts';

/** The result in Python is not known, so the chat is not rendered here. */
export class NotRendered extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NotRendered';
  }
}

/** An immutable list, such as each entry of Python's `items()`. */
export class PythonTuple extends Array<unknown> {}

/** As repr writes it: the shortest digits that give the same float. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const [digits = '', power = '0'] = Math.abs(value).toExponential().replace('.', '').split('e');
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : '';
    return `${sign}${digits[0]}${fraction}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`;
}

/** The text of `{{ value }}`; jinja writes nothing for undefined. @throws NotRendered, TemplateOverrun */
export function strText(value: unknown, work: TemplateWork): string {
  if (typeof value === 'string') return value;
  if (value === undefined) return '';
  return repr(value, work);
}

function repr(value: unknown, work: TemplateWork): string {
  const parts: string[] = [];
  const write = (text: string): void => {
    work.write(text.length);
    parts.push(text);
  };
  writeRepr(value, write);
  return parts.join('');
}

function writeRepr(value: unknown, write: (text: string) => void): void {
  const scalar = scalarText(value, 'None', 'True', 'False');
  if (scalar !== null) write(scalar);
  else if (value instanceof JsonFloat) write(floatText(value.value));
  else if (typeof value === 'string') write(quoted(value));
  else if (Array.isArray(value)) {
    const isTuple = value instanceof PythonTuple;
    write(isTuple ? '(' : '[');
    for (const [i, item] of value.entries()) {
      if (i > 0) write(', ');
      writeRepr(item, write);
    }
    write(isTuple ? (value.length === 1 ? ',)' : ')') : ']');
  } else if (value instanceof Map) {
    let separator = '{';
    for (const [name, member] of value as ReadonlyMap<string, unknown>) {
      write(`${separator}${quoted(name)}: `);
      writeRepr(member, write);
      separator = ', ';
    }
    write(value.size === 0 ? '{}' : '}');
  } else throw new NotRendered('a value without a known text form is written');
}

function scalarText(value: unknown, none: string, yes: string, no: string): string | null {
  if (value === null) return none;
  if (value === true) return yes;
  if (value === false) return no;
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : null;
}

/** Characters that Python's repr escapes, except quotes: neither visible nor a blank. */
const escaped = /[\\\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replace(escaped, (character) => {
    if (character === '\\') return '\\\\';
    if (character === '\n') return '\\n';
    if (character === '\r') return '\\r';
    if (character === '\t') return '\\t';
    const code = character.codePointAt(0)!;
    if (code < 0x100) return `\\x${hex(code, 2)}`;
    return code < 0x1_0000 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`;
  });
  return quote + (quote === "'" ? inner.replaceAll("'", "\\'") : inner) + quote;
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}

/** The options of transformers' `tojson` filter. */
export interface DumpOptions {
  readonly ensureAscii: boolean;
  /** Repeated for each level; null: everything on one line. */
  readonly indent: string | null;
  readonly itemSeparator: string;
  readonly keySeparator: string;
  readonly sortKeys: boolean;
}

export const plainDump: DumpOptions = {
  ensureAscii: false,
  indent: null,
  itemSeparator: ', ',
  keySeparator: ': ',
  sortKeys: false,
};

/** json.dumps. @throws NotRendered, TemplateOverrun as soon as the text is too long */
export function dumpJson(value: unknown, options: DumpOptions, work: TemplateWork): string {
  const parts: string[] = [];
  const write = (text: string): void => {
    work.write(text.length);
    parts.push(text);
  };
  dump(value, options, options.indent === null ? '' : '\n', write);
  return parts.join('');
}

/** @param line beginning of each line inside the container; empty: no line breaks */
function dump(value: unknown, options: DumpOptions, line: string, write: (text: string) => void): void {
  const scalar = scalarText(value, 'null', 'true', 'false');
  if (scalar !== null) write(scalar);
  else if (value instanceof JsonFloat) write(jsonFloatText(value.value));
  else if (typeof value === 'string') write(jsonString(value, options));
  else if (Array.isArray(value)) dumpList(value, options, line, write);
  else if (value instanceof Map) dumpObject(value, options, line, write);
  else throw new NotRendered('a value that is not JSON is written as JSON');
}

function dumpList(list: readonly unknown[], options: DumpOptions, line: string, write: (text: string) => void): void {
  const inner = line === '' ? '' : line + options.indent;
  let separator = '[';
  for (const item of list) {
    write(separator + inner);
    dump(item, options, inner, write);
    separator = options.itemSeparator;
  }
  write(list.length === 0 ? '[]' : `${line}]`);
}

function dumpObject(
  object: ReadonlyMap<string, unknown>,
  options: DumpOptions,
  line: string,
  write: (text: string) => void,
): void {
  const inner = line === '' ? '' : line + options.indent;
  let separator = '{';
  for (const [name, member] of membersOf(object, options)) {
    write(`${separator}${inner}${jsonString(name, options)}${options.keySeparator}`);
    dump(member, options, inner, write);
    separator = options.itemSeparator;
  }
  write(object.size === 0 ? '{}' : `${line}}`);
}

function membersOf(value: ReadonlyMap<string, unknown>, { sortKeys }: DumpOptions): Iterable<[string, unknown]> {
  return sortKeys ? [...value].sort(([one], [other]) => compareText(one, other)) : value;
}

function jsonFloatText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity';
  return floatText(value);
}

const beyondAscii = /[\u007f-\uffff]/g;

function jsonString(text: string, { ensureAscii }: DumpOptions): string {
  const json = JSON.stringify(text);
  return ensureAscii ? json.replace(beyondAscii, (unit) => `\\u${hex(unit.charCodeAt(0), 4)}`) : json;
}

/** Compares by code points, as Python does. */
export function compareText(one: string, other: string): number {
  if (!surrogate.test(one) && !surrogate.test(other)) return one < other ? -1 : one > other ? 1 : 0;
  const [ones, others] = [Array.from(one), Array.from(other)];
  for (let i = 0; i < ones.length && i < others.length; i++) {
    const difference = ones[i]!.codePointAt(0)! - others[i]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return ones.length - others.length;
}

const surrogate = /[\ud800-\udfff]/;

/** Whether its positions differ from code point positions. */
export function hasSurrogates(text: string): boolean {
  return surrogate.test(text);
}

/** Length in code points, as in Python. */
export function textLength(text: string): number {
  if (!surrogate.test(text)) return text.length;
  let length = 0;
  for (const _ of text) length++;
  return length;
}

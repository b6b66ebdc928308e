// Values of a chat template as Python and jinja treat them: truth, equality, order, length, iteration.
//
// None is null, undefined is undefined, integers are numbers or bigints, floats JsonFloat, lists arrays, and
// dictionaries maps with text keys.

import { JsonFloat } from './json-values.ts';
import { compareText, hasSurrogates, NotRendered, PythonTuple, textLength } from './python-text.ts';
import type { TemplateWork } from './template-work.ts';

export type Kwargs = ReadonlyMap<string, unknown>;
export const noKwargs: Kwargs = new Map();

/** A callable value: a macro, a method or a global function. */
export class Callable {
  readonly call: (args: readonly unknown[], kwargs: Kwargs, work: TemplateWork) => unknown;

  constructor(call: Callable['call']) {
    this.call = call;
  }
}

/** `namespace(...)`: the only value whose members a template may set. */
export class Namespace {
  readonly members: Map<string, unknown>;

  constructor(members: Map<string, unknown>) {
    this.members = members;
  }
}

/** The template, or Python, refuses the chat. */
export class TemplateRefusal extends Error {}

/** An error that Python would raise, for which the engine would refuse the chat. */
export function pythonError(message: string): TemplateRefusal {
  return new TemplateRefusal(message);
}

export function isInteger(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint';
}

/** @throws TemplateRefusal if it is not an integer, or too large to count anything */
export function asCount(value: unknown, what: string): number {
  if (typeof value === 'boolean') return Number(value);
  if (typeof value === 'number') return value;
  throw pythonError(`${what} is not an integer`);
}

export function truth(value: unknown): boolean {
  if (typeof value === 'string') return value !== '';
  if (value === undefined || value === null || value === false || value === 0 || value === 0n) return false;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  return !(value instanceof JsonFloat) || value.value !== 0;
}

/** `==`: numbers and booleans by numeric value, containers by content. */
export function equals(one: unknown, other: unknown, work: TemplateWork): boolean {
  if (one === other) return true;
  if (typeof one === 'string' || typeof other === 'string') return false;
  if (one === undefined || other === undefined || one === null || other === null) return false;
  if (isNumeric(one) && isNumeric(other)) return compareNumbers(one, other) === 0;
  if (Array.isArray(one) && Array.isArray(other)) {
    work.visit(one.length);
    return (
      one.length === other.length &&
      one instanceof PythonTuple === other instanceof PythonTuple &&
      one.every((item, i) => equals(item, other[i], work))
    );
  }
  if (one instanceof Map && other instanceof Map) {
    work.visit(one.size);
    if (one.size !== other.size) return false;
    for (const [name, member] of one as ReadonlyMap<string, unknown>) {
      if (!other.has(name) || !equals(member, other.get(name), work)) return false;
    }
    return true;
  }
  return false;
}

type Numeric = boolean | number | bigint | JsonFloat;

export function isNumeric(value: unknown): value is Numeric {
  return typeof value === 'boolean' || isInteger(value) || value instanceof JsonFloat;
}

/** NaN if they can't be compared. JavaScript compares numbers and bigints by value. */
function compareNumbers(one: Numeric, other: Numeric): number {
  const [a, b] = [bare(one), bare(other)];
  if (Number.isNaN(Number(a)) || Number.isNaN(Number(b))) return Number.NaN;
  return a < b ? -1 : a > b ? 1 : 0;
}

function bare(value: Numeric): number | bigint {
  if (value instanceof JsonFloat) return value.value;
  return typeof value === 'boolean' ? Number(value) : value;
}

/** Negative, 0 or positive. @throws TemplateRefusal if Python refuses the comparison */
export function compare(one: unknown, other: unknown): number {
  if (typeof one === 'string' && typeof other === 'string') return compareText(one, other);
  if (isNumeric(one) && isNumeric(other)) return compareNumbers(one, other);
  if (Array.isArray(one) && Array.isArray(other)) throw new NotRendered('lists are compared');
  throw pythonError('values of different types are compared');
}

export function lengthOf(value: unknown): number {
  if (value === undefined) return 0;
  if (typeof value === 'string') return textLength(value);
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  throw pythonError('a value has no length');
}

/** The items of a loop. @throws TemplateRefusal */
export function itemsOf(value: unknown, work: TemplateWork): readonly unknown[] {
  if (Array.isArray(value)) return value;
  if (value === undefined) return [];
  if (typeof value === 'string') {
    work.visit(value.length);
    return Array.from(value);
  }
  if (value instanceof Map) {
    work.visit(value.size);
    return [...value.keys()];
  }
  throw pythonError('a value is not iterable');
}

/** `one in other`. */
export function isIn(one: unknown, other: unknown, work: TemplateWork): boolean {
  if (typeof other === 'string') {
    if (typeof one !== 'string') throw pythonError('a value that is not a text is looked for in a text');
    work.read(other.length);
    return other.includes(one);
  }
  if (other instanceof Map) return typeof one === 'string' && other.has(one);
  if (other === undefined) return false;
  if (!Array.isArray(other)) throw pythonError('a value is not a container');
  work.visit(other.length / 16);
  return other.some((item) => equals(item, one, work));
}

/** The item at an index, negative from the end; undefined if there is none. */
export function itemAt(value: string | readonly unknown[], index: number, work: TemplateWork): unknown {
  if (typeof value !== 'string') return value.at(index);
  work.read(value.length);
  if (!hasSurrogates(value)) return value.at(index);
  work.visit(value.length / 4);
  return Array.from(value).at(index);
}

/** `value[start:stop:step]`. */
export function sliceOf(
  value: unknown,
  start: unknown,
  stop: unknown,
  step: unknown,
  work: TemplateWork,
): string | unknown[] {
  if (typeof value !== 'string' && !Array.isArray(value)) throw pythonError('a value that is not a list is sliced');
  const by = step === undefined || step === null ? 1 : asCount(step, 'the step of a slice');
  if (by === 0) throw pythonError('the step of a slice is zero');
  if (typeof value === 'string' && by === 1 && !hasSurrogates(value)) {
    work.read(value.length);
    return value.slice(bound(start, 0), bound(stop, value.length));
  }
  work.visit(value.length / 4);
  const items: readonly unknown[] = typeof value === 'string' ? Array.from(value) : value;
  const { length } = items;
  const picked: unknown[] = [];
  const clamp = (index: number, low: number, high: number): number =>
    Math.min(Math.max(index < 0 ? index + length : index, low), high);
  if (by > 0) {
    const end = clamp(bound(stop, length), 0, length);
    for (let i = clamp(bound(start, 0), 0, length); i < end; i += by) picked.push(items[i]);
  } else {
    const end = stop === undefined || stop === null ? -1 : clamp(bound(stop, 0), -1, length - 1);
    for (let i = clamp(bound(start, length - 1), -1, length - 1); i > end; i += by) picked.push(items[i]);
  }
  return typeof value === 'string' ? picked.join('') : picked;
}

function bound(value: unknown, otherwise: number): number {
  return value === undefined || value === null ? otherwise : asCount(value, 'a bound of a slice');
}

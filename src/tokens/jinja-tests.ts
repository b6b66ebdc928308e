// The tests of a chat template (`value is name`), as jinja defines them.

import { Callable, compare, equals, isIn, isInteger, isNumeric, Namespace, pythonError } from './jinja-values.ts';
import { JsonFloat } from './json-values.ts';
import { NotRendered } from './python-text.ts';
import type { TemplateWork } from './template-work.ts';

export type Test = (value: unknown, args: readonly unknown[], work: TemplateWork) => boolean;

/** @throws NotRendered if jinja's behaviour is not known */
export function findTest(name: string): Test {
  const test = tests.get(name);
  if (test !== undefined) return test;
  return () => {
    throw new NotRendered(`the test ${name}`);
  };
}

const equal: Test = (value, [other], work) => equals(value, other, work);
const unequal: Test = (value, [other], work) => !equals(value, other, work);
const ordered =
  (fits: (order: number) => boolean): Test =>
  (value, [other]) =>
    fits(compare(value, other));

const tests: ReadonlyMap<string, Test> = new Map<string, Test>([
  ['defined', (value) => value !== undefined],
  ['undefined', (value) => value === undefined],
  ['none', (value) => value === null],
  ['boolean', (value) => typeof value === 'boolean'],
  ['true', (value) => value === true],
  ['false', (value) => value === false],
  ['integer', isInteger],
  ['float', (value) => value instanceof JsonFloat],
  ['number', isNumeric],
  ['string', (value) => typeof value === 'string'],
  ['mapping', (value) => value instanceof Map],
  ['iterable', isIterable],
  [
    'sequence',
    (value) => typeof value === 'string' || Array.isArray(value) || value instanceof Map || value === undefined,
  ],
  ['callable', (value) => value instanceof Callable],
  ['lower', (value) => isCased(value, (text) => text.toLowerCase())],
  ['upper', (value) => isCased(value, (text) => text.toUpperCase())],
  ['odd', (value) => remainder(value, 2) === 1],
  ['even', (value) => remainder(value, 2) === 0],
  ['divisibleby', (value, [by]) => remainder(value, by) === 0],
  ['eq', equal],
  ['equalto', equal],
  ['==', equal],
  ['ne', unequal],
  ['!=', unequal],
  ['lt', ordered((order) => order < 0)],
  ['lessthan', ordered((order) => order < 0)],
  ['le', ordered((order) => order <= 0)],
  ['gt', ordered((order) => order > 0)],
  ['greaterthan', ordered((order) => order > 0)],
  ['ge', ordered((order) => order >= 0)],
  ['in', (value, [other], work) => isIn(value, other, work)],
]);

function isIterable(value: unknown): boolean {
  if (value instanceof Namespace) throw new NotRendered('the test iterable of a namespace');
  return typeof value === 'string' || Array.isArray(value) || value instanceof Map || value === undefined;
}

function isCased(value: unknown, change: (text: string) => string): boolean {
  if (typeof value !== 'string') throw new NotRendered('the case of a value that is not a text');
  return change(value) === value && value.toLowerCase() !== value.toUpperCase();
}

function remainder(value: unknown, by: unknown): number {
  if (!isInteger(value) || !isInteger(by)) throw pythonError('a remainder of a value that is not an integer');
  const rest = Number(BigInt(value) % BigInt(by));
  return Math.abs(rest);
}

// The operators of a chat template, as Python computes them.

import { compare, equals, isIn, isInteger, pythonError } from './jinja-values.ts';
import { JsonFloat } from './json-values.ts';
import { NotRendered, strText } from './python-text.ts';
import type { TemplateWork } from './template-work.ts';

type PythonNumber = number | bigint | JsonFloat;

/** All but `and` and `or`, which may skip their right operand. @throws TemplateRefusal, NotRendered */
export function operate(operator: string, left: unknown, right: unknown, work: TemplateWork): unknown {
  switch (operator) {
    case '==':
      return equals(left, right, work);
    case '!=':
      return !equals(left, right, work);
    case 'in':
      return isIn(left, right, work);
    case 'not in':
      return !isIn(left, right, work);
    case '<':
      return compare(left, right) < 0;
    case '<=':
      return compare(left, right) <= 0;
    case '>':
      return compare(left, right) > 0;
    case '>=':
      return compare(left, right) >= 0;
    case '~': {
      const text = strText(left, work) + strText(right, work);
      work.write(text.length);
      return text;
    }
    default:
      return calculate(operator, left, right, work);
  }
}

function calculate(operator: string, left: unknown, right: unknown, work: TemplateWork): unknown {
  if (operator === '+' && typeof left === 'string' && typeof right === 'string') {
    work.write(left.length + right.length);
    return left + right;
  }
  if (operator === '+' && Array.isArray(left) && Array.isArray(right)) {
    work.visit(left.length + right.length);
    return left.concat(right);
  }
  if (operator === '*' && (typeof left === 'string' || typeof right === 'string')) {
    const [text, count] = typeof left === 'string' ? [left, right] : [right as string, left];
    if (typeof count !== 'number') throw pythonError('a text is multiplied by a value that is not an integer');
    work.write(text.length * Math.max(0, count));
    return text.repeat(Math.max(0, count));
  }
  const [a, b] = [counted(left), counted(right)];
  if (a === null || b === null) throw pythonError(`${operator} is not defined for these values`);
  return isInteger(a) && isInteger(b) ? integers(operator, a, b) : floats(operator, Number(bare(a)), Number(bare(b)));
}

/** A boolean counts as 0 or 1. */
function counted(value: unknown): PythonNumber | null {
  if (typeof value === 'boolean') return Number(value);
  return isInteger(value) || value instanceof JsonFloat ? value : null;
}

function bare(value: PythonNumber): number | bigint {
  return value instanceof JsonFloat ? value.value : value;
}

function integers(operator: string, a: number | bigint, b: number | bigint): unknown {
  const [x, y] = [BigInt(a), BigInt(b)];
  if (y === 0n && (operator === '/' || operator === '//' || operator === '%')) throw pythonError('division by zero');
  switch (operator) {
    case '+':
      return narrow(x + y);
    case '-':
      return narrow(x - y);
    case '*':
      return narrow(x * y);
    case '/':
      return new JsonFloat(Number(a) / Number(b));
    case '//':
      return narrow((x - modulo(x, y)) / y);
    case '%':
      return narrow(modulo(x, y));
    default:
      throw new NotRendered(`the operator ${operator}`);
  }
}

/** Has the sign of the divisor, as in Python. */
function modulo(x: bigint, y: bigint): bigint {
  const rest = x % y;
  return rest !== 0n && rest < 0n !== y < 0n ? rest + y : rest;
}

/** Integers within 2^53 are numbers. */
function narrow(value: bigint): number | bigint {
  const small = Number(value);
  return Number.isSafeInteger(small) ? small : value;
}

function floats(operator: string, a: number, b: number): unknown {
  switch (operator) {
    case '+':
      return new JsonFloat(a + b);
    case '-':
      return new JsonFloat(a - b);
    case '*':
      return new JsonFloat(a * b);
    case '/':
      if (b === 0) throw pythonError('division by zero');
      return new JsonFloat(a / b);
    default:
      throw new NotRendered(`the operator ${operator} between floats`);
  }
}

export function negated(value: unknown): unknown {
  const number = counted(value);
  if (number === null) throw pythonError('a value that is not a number is negated');
  if (number instanceof JsonFloat) return new JsonFloat(-number.value);
  return narrow(-BigInt(number));
}

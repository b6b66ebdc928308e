// Reads a body, or an operation inside one, and checks it against its shape; errors name the field.

import type { z } from 'zod';
import { invalid, RequestFields } from '../inference/request-fields.ts';
import type { Asked } from './asked.ts';

/** Token ids are kept compactly in a body itself, and in the operations of a batch, but not inside of messages. */
function keepsTokens(depth: number, names: readonly string[]): boolean {
  return depth === 1 ? names[0] === 'tokens' : depth === 3 && names[0] === 'operations' && names[2] === 'tokens';
}

/** The fields of a body; nothing is parsed yet. */
export function bodyFields(body: Buffer): RequestFields {
  return new RequestFields(body, { tokenLists: keepsTokens });
}

/** @throws RequestError 400 naming the field */
export function checked<T>(shape: z.ZodObject & z.ZodType<T>, asked: Asked): T {
  return checkedValue<T>(shape, plainFields(shape, asked));
}

/** The values of an operation's fields. @throws RequestError 400 at the first field that the shape lacks */
export function plainFields({ shape }: z.ZodObject, asked: Asked): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = {};
  for (const name of asked.names()) {
    // Here already: a body may have a million names.
    if (!Object.hasOwn(shape, name)) throw invalid(name, `${name} is not a field of this operation`);
    const value = asked.value(name);
    if (value !== undefined) values[name] = value;
  }
  return values;
}

/** @throws RequestError 400 naming the field */
export function checkedValue<T>(shape: z.ZodType<T>, value: unknown): T {
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (issue?.code === 'unrecognized_keys') {
    const name = [...issue.path, issue.keys[0]!].join('.');
    throw invalid(name, `${name} is not a field of this operation`);
  }
  const name = fieldName(issue?.path ?? []);
  throw invalid(name, `${name}: ${issue?.message ?? 'is not valid'}`);
}

/** Values of a query; those of digits only are numbers. @throws RequestError 400 */
export function queryValues(query: string): Record<string, unknown> {
  // Without a prototype, so that no name is special.
  const values = Object.create(null) as Record<string, unknown>;
  for (const [name, text] of new URLSearchParams(query)) {
    if (Object.hasOwn(values, name)) throw invalid(name, `the query has ${name} twice`);
    values[name] = /^\d{1,15}$/.test(text) ? Number(text) : text;
  }
  return values;
}

export function reservationIdOf(asked: Asked): string {
  const id = asked.value('id');
  if (id === undefined) throw invalid('id', 'id is missing');
  if (typeof id !== 'string') throw invalid('id', 'id must be a string');
  return id;
}

/** workers[3].name */
function fieldName(path: readonly PropertyKey[]): string {
  return path
    .map((part, at) => (typeof part === 'number' ? `[${part}]` : `${at === 0 ? '' : '.'}${String(part)}`))
    .join('');
}

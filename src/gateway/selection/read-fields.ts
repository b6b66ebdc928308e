// Reads a body, or an operation inside one, and checks it against its shape; errors name the field.

import type { z } from 'zod';
import { isJsonObject, type Json, JsonFloat } from '../../tokens/json-values.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { TurnSlices } from '../exchange/turn-slices.ts';
import { type Fields, inlineBytesMax, invalid, RequestFields } from '../inference/request-fields.ts';
import { excludedMax } from './shapes.ts';

/** Items of a list, or members of an object, that are checked: the check is one step. */
const checkedItemsMax: number = excludedMax;

/** Fields whose values are large or exact: they are read where they are used. */
const opaque: ReadonlySet<string> = new Set([
  'tokens',
  'messages',
  'blockHashes',
  'tools',
  'chat_template',
  'chat_template_kwargs',
  'mm_processor_kwargs',
  'documents',
  'reasoning_effort',
]);

/** Token ids are kept compactly in a body itself, and in the operations of a batch, but not inside of messages. */
function keepsTokens(depth: number, names: readonly string[]): boolean {
  return depth === 1 ? names[0] === 'tokens' : depth === 3 && names[0] === 'operations' && names[2] === 'tokens';
}

/** @returns a promise only for large bodies @throws RequestError 400, directly or as a rejection */
export function readObject(body: Buffer, slices: TurnSlices): Fields | Promise<Fields> {
  const fields = new RequestFields(body, { tokenLists: keepsTokens });
  if (body.length > inlineBytesMax) return readInTurns(fields, slices);
  fields.read(Number.POSITIVE_INFINITY);
  return fields;
}

async function readInTurns(fields: RequestFields, slices: TurnSlices): Promise<Fields> {
  await fields.readInTurns(async () => slices.take() ?? undefined);
  return fields;
}

/** @throws RequestError 400 naming the field */
export function checked<T>(shape: z.ZodObject & z.ZodType<T>, fields: Fields): T {
  return checkedValue<T>(shape, plainFields(shape, fields));
}

/** The values of an object's fields. @throws RequestError 400 at the first field that the shape lacks */
export function plainFields({ shape }: z.ZodObject, fields: Fields): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = {};
  for (const name of fields.names()) {
    // Here already: a body may have a million names.
    if (!Object.hasOwn(shape, name)) throw invalid(name, `${name} is not a field of this operation`);
    const value = fields.value(name);
    // As for clients' requests, null is no value.
    if (value !== null) values[name] = opaque.has(name) ? value : plain(value, name);
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

export function reservationIdOf(fields: Fields): string {
  const id = fields.text('id');
  if (id === null) throw new RequestError(400, 'invalid_value', 'id is missing', 'id');
  return id;
}

/** workers[3].name */
function fieldName(path: readonly PropertyKey[]): string {
  return path
    .map((part, at) => (typeof part === 'number' ? `[${part}]` : `${at === 0 ? '' : '.'}${String(part)}`))
    .join('');
}

/** Plain JavaScript values. What may be large is read elsewhere. @throws RequestError 400 */
function plain(value: Json, field: string): unknown {
  if (value instanceof JsonFloat) return value.value;
  const itemCount = isJsonObject(value) ? value.size : Array.isArray(value) ? value.length : 0;
  if (itemCount > checkedItemsMax) throw invalid(field, `${field} has more than ${checkedItemsMax} items`);
  if (isJsonObject(value)) {
    return Object.fromEntries([...value].map(([name, member]) => [name, plain(member, field)]));
  }
  return Array.isArray(value) ? (value as Json[]).map((item) => plain(item, field)) : value;
}

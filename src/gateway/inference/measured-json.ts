// Reads the model and the length of a JSON body whose prompt is not tokenized: a large one in several turns.

import { isUtf8 } from 'node:buffer';
import { JsonFloat } from '../../tokens/json-values.ts';
import { lengthOfMembers } from '../../wire/body-length.ts';
import {
  isJsonType,
  type ModelReading,
  namedTwice,
  otherType,
  readingOf,
  readJsonModel,
} from '../../wire/json-model.ts';
import { inlineBytesMax, RequestFields } from './request-fields.ts';

/**
 * @param turn settles in a later turn of the event loop; called between two parts of a large body
 * @throws RequestError 400 as a rejection, if a large body is not JSON or exceeds its limits
 */
export function readMeasuredJson(
  body: Buffer,
  contentType: string | null,
  turn: () => Promise<void>,
): ModelReading | Promise<ModelReading> {
  if (body.length <= inlineBytesMax || !isJsonType(contentType)) return readJsonModel(body, contentType);
  return readInTurns(body, turn);
}

async function readInTurns(body: Buffer, turn: () => Promise<void>): Promise<ModelReading> {
  const steps = largeSteps(body);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    await turn();
  }
}

/** As `readMeasuredJson`, in steps. */
export function* measuredSteps(body: Buffer, contentType: string | null): Generator<void, ModelReading> {
  return isJsonType(contentType) ? yield* largeSteps(body) : { kind: 'wrong', message: otherType };
}

function* largeSteps(body: Buffer): Generator<void, ModelReading> {
  if (!isUtf8(body)) return { kind: 'wrong', message: otherType };
  const fields = new RequestFields(body, { tokenLists: true });
  yield* fields.steps();
  if (fields.repeats('model')) return { kind: 'wrong', message: namedTwice };
  const members = new Map<string, unknown>();
  for (const name of fields.names()) members.set(name, fields.value(name));
  return readingOf(fields.value('model'), lengthOfMembers(members, isNumber));
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number' || typeof value === 'bigint' || value instanceof JsonFloat;
}

// Changes the model that the bytes of a request name; all other bytes stay unchanged.

import { lastMember, replaceSpan, type Span, skipSpace } from './json-members.ts';

const quoteCode = 0x22;

/**
 * @param body a JSON object that `JSON.parse` accepts
 * @param value where it names its model; null: nowhere
 * @returns the same buffer if the body names no model, or this one
 */
export function renameJsonModel(body: Buffer, model: string, value: Span | null = modelSpan(body)): Buffer {
  if (value === null) return body;
  const text = asciiJson(model);
  return body.toString('latin1', value.start, value.end) === text ? body : replaceSpan(body, value, text);
}

/** Where a JSON object names its model, from quote to quote; null: it does not. Linear in the body. */
export function modelSpan(body: Buffer): Span | null {
  const value = lastMember(body, skipSpace(body, 0), 'model');
  return value === null || body[value.start] !== quoteCode ? null : value;
}

/** @param value where the form names its model; null: it does not */
export function renameFormModel(body: Buffer, value: Span | null, model: string): Buffer {
  if (value === null) return body;
  return Buffer.concat([body.subarray(0, value.start), Buffer.from(model), body.subarray(value.end)]);
}

/** A string of JSON in ASCII, which means the same in every encoding. */
function asciiJson(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

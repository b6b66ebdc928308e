// Reads the model that a JSON body names, and refuses bodies that another reader could understand differently.

import { type BodyLength, lengthOfJson } from './body-length.ts';
import { memberCount, skipSpace } from './json-members.ts';

export type ModelReading =
  /** Null: the body names none. */
  | { readonly kind: 'model'; readonly model: string | null; readonly length: BodyLength }
  | { readonly kind: 'wrong'; readonly message: string };

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** Longest model name, in characters. */
export const modelLengthMax = 1024;

/** @param contentType of the request, or null */
export function readJsonModel(body: Buffer, contentType: string | null): ModelReading {
  if (!isJsonType(contentType)) return wrong(otherType);
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(body));
  } catch {
    return wrong('the body is not JSON in UTF-8 (without a byte order mark, NaN or Infinity)');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return wrong('the body must be a JSON object');
  if (namesTwice(body, 'model')) return wrong(namedTwice);
  const { model = null } = value as { model?: unknown };
  return readingOf(model, lengthOfJson(value as Record<string, unknown>));
}

/** Why the bodies of other types are refused. */
export const otherType = 'the content-type must be application/json, in UTF-8';
export const namedTwice = 'the body names the model twice';

export function isJsonType(contentType: string | null): boolean {
  return contentType !== null && /^\s*application\/json\s*(?:;\s*charset="?utf-8"?\s*)?$/i.test(contentType);
}

/** @param model the value of the member; null: there is none */
export function readingOf(model: unknown, length: BodyLength): ModelReading {
  if (model === null) return { kind: 'model', model, length };
  if (typeof model !== 'string') return wrong('model must be a string');
  if (model.length > modelLengthMax) return wrong(`model is longer than ${modelLengthMax} characters`);
  return { kind: 'model', model, length };
}

/**
 * Whether the object has the member more than once: JSON readers differ in which one counts.
 * @param body a JSON object that `JSON.parse` accepts
 * @param name of ASCII letters
 */
export function namesTwice(body: Buffer, name: string): boolean {
  if (!mayNameTwice(body, name)) return false;
  return memberCount(body, skipSpace(body, 0), name) > 1;
}

/** A cheap check that is seldom true; only then are the members read one by one. */
function mayNameTwice(body: Buffer, name: string): boolean {
  const quoted = `"${name}"`;
  const first = body.indexOf(quoted);
  if (first !== -1 && body.indexOf(quoted, first + quoted.length) !== -1) return true;
  return hasEscapedLetters(body);
}

/** Whether the body may have a member with that name; a cheap check. */
export function mayName(body: Buffer, name: string): boolean {
  return body.includes(`"${name}"`) || hasEscapedLetters(body);
}

/** Common JSON writers never escape letters. */
function hasEscapedLetters(body: Buffer): boolean {
  return body.includes('\\u006') || body.includes('\\u007');
}

function wrong(message: string): ModelReading {
  return { kind: 'wrong', message };
}

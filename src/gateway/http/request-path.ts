// The normalized request target, the only form that routes, key checks and engines see.

import { RequestError } from '../../wire/openai-error.ts';

export interface RequestPath {
  /** Begins with `/`. Escapes of unreserved characters are decoded; all others are kept. */
  readonly path: string;
  /** With the question mark, or empty. */
  readonly query: string;
}

/** Normal as it is, as nearly all are: segments that begin with a letter, without escapes, and no query. */
const plainTarget = /^(?:\/[A-Za-z][\w.~-]*)+$/;
/** Visible ASCII without a fragment, a backslash, or characters that must be escaped. */
const targetForm = /^\/[^\\#"<>^`{|}]*$/;
const visible = /^[\x21-\x7e]+$/;
/** RFC 3986, 2.3: these mean the same with and without escape. */
const unreserved = /[\w.~-]/;

/** Whether `readPath` takes the target's query. */
export function hasPlainQuery(target: string): boolean {
  return visible.test(target) && !target.includes('#');
}

/**
 * Normalizes a target. Dot segments are not resolved: a path that others could read differently is refused.
 * @param target as in the request line
 * @throws RequestError 400
 */
export function readPath(target: string): RequestPath {
  if (plainTarget.test(target)) return { path: target, query: '' };
  const split = target.indexOf('?');
  const path = split === -1 ? target : target.slice(0, split);
  if (!hasPlainQuery(target)) throw refuse('characters that must be escaped');
  if (!targetForm.test(path)) throw refuse(path.startsWith('/') ? 'characters that must be escaped' : 'no leading /');
  const normal = path.replace(/%(?:[0-9a-fA-F]{2})?/g, plain);
  const segments = normal.split('/').slice(1);
  if (segments.some((segment) => segment === '.' || segment === '..')) throw refuse('a dot segment (. or ..)');
  if (segments.slice(0, -1).includes('')) throw refuse('an empty segment (//)');
  return { path: normal, query: split === -1 ? '' : target.slice(split) };
}

function plain(escaped: string): string {
  if (escaped === '%') throw refuse('an incomplete escape');
  const code = Number.parseInt(escaped.slice(1), 16);
  if (code < 0x20 || code === 0x7f) throw refuse('a control character');
  if (code === 0x5c) throw refuse('a backslash');
  const character = String.fromCharCode(code);
  return code < 0x80 && unreserved.test(character) ? character : escaped.toUpperCase();
}

function refuse(what: string): RequestError {
  return new RequestError(400, 'invalid_path', `the path has ${what}`);
}

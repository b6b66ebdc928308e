// Where and how the bytes of a streaming request are changed to ask for the usage chunk; all others stay as they are.

import { isEmptyObject, lastMember, type Span, type SpanEdit, skipSpace } from './json-members.ts';

const openObjectCode = 0x7b;
const letterFCode = 0x66;
const letterNCode = 0x6e;

/**
 * Sets `stream_options.include_usage` to true if it is absent, null or false.
 *
 * The bytes are spliced: serializing a parsed value would round integers beyond 2^53, drop repeated keys and reorder
 * numeric ones.
 * @param body a JSON object that `JSON.parse` accepts
 * @returns null if nothing is to be changed: the client asks for usage itself, or sets `continuous_usage_stats` (which
 * has no effect without `include_usage`, so its chunks would change), or only the engine can judge the value
 */
export function usageEdit(body: Buffer): SpanEdit | null {
  const open = skipSpace(body, 0);
  const options = lastMember(body, open, 'stream_options');
  if (options === null) return insert(body, open, '"stream_options":{"include_usage":true}');
  if (isNull(body, options)) return { by: '{"include_usage":true}', ...options };
  if (body[options.start] !== openObjectCode) return null;
  if (!isOff(body, lastMember(body, options.start, 'continuous_usage_stats'))) return null;
  const include = lastMember(body, options.start, 'include_usage');
  if (include === null) return insert(body, options.start, '"include_usage":true');
  return isOff(body, include) ? { by: 'true', ...include } : null;
}

function isOff(body: Buffer, value: Span | null): boolean {
  return value === null || isNull(body, value) || body[value.start] === letterFCode;
}

function isNull(body: Buffer, { start }: Span): boolean {
  return body[start] === letterNCode;
}

/** Inserts the first member of the object that begins at `open`. */
function insert(body: Buffer, open: number, member: string): SpanEdit {
  return { start: open + 1, end: open + 1, by: isEmptyObject(body, open) ? member : `${member},` };
}

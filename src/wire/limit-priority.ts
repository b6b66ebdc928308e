// Keeps the priority that a request names within bounds, in its bytes; every other byte stays as it is.

import { lastMember, replaceSpan, skipSpace } from './json-members.ts';
import { mayName } from './json-model.ts';

/**
 * @param body a JSON object that `JSON.parse` takes
 * @param limit the nearest priority that is permitted
 * @returns the same buffer if it names no priority, or one that is permitted
 */
export function limitPriority(body: Buffer, limit: (priority: number) => number): Buffer {
  if (!mayName(body, 'priority')) return body;
  const value = lastMember(body, skipSpace(body, 0), 'priority');
  if (value === null) return body;
  const text = body.toString('latin1', value.start, value.end);
  if (text === 'null') return body;
  // What is no integer is no priority; some engines would still read one in it.
  const priority = /^-?\d+$/.test(text) ? Number(text) : null;
  const limited = limit(priority ?? 0);
  return limited === priority ? body : replaceSpan(body, value, String(limited));
}

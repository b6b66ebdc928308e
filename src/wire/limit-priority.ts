// Limits the priority in the bytes of a request; all other bytes stay unchanged.

import { lastMember, replaceSpan, skipSpace } from './json-members.ts';
import { mayName } from './json-model.ts';

/**
 * @param body a JSON object that `JSON.parse` accepts
 * @param limit maps a priority to the nearest permitted one
 * @returns the same buffer if there is no priority, or a permitted one
 */
export function limitPriority(body: Buffer, limit: (priority: number) => number): Buffer {
  if (!mayName(body, 'priority')) return body;
  const value = lastMember(body, skipSpace(body, 0), 'priority');
  if (value === null) return body;
  const text = body.toString('latin1', value.start, value.end);
  if (text === 'null') return body;
  // Treated as no priority, and replaced: some engines would still read a number in it.
  const priority = /^-?\d+$/.test(text) ? Number(text) : null;
  const limited = limit(priority ?? 0);
  return limited === priority ? body : replaceSpan(body, value, String(limited));
}

// Writes JSON values fast, without spaces: Python and JavaScript read the same values from it.

import { writeJson } from './chat-question.ts';
import { isJsonObject, type Json, JsonFloat, type JsonList } from './json-values.ts';
import { floatText } from './python-text.ts';

/** Recursive: values that were read are nested at most `jsonDepthMax` deep. O(characters) */
export function compactJson(value: Json): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'bigint') {
    return String(value);
  }
  if (value instanceof JsonFloat) return Number.isFinite(value.value) ? floatText(value.value) : writeJson(value);
  let text = '';
  if (isJsonObject(value)) {
    for (const [name, member] of value) {
      text += `${text === '' ? '{' : ','}${JSON.stringify(name)}:${compactJson(member)}`;
    }
    return text === '' ? '{}' : `${text}}`;
  }
  for (const item of value as JsonList) text += `${text === '' ? '[' : ','}${compactJson(item)}`;
  return text === '' ? '[]' : `${text}]`;
}

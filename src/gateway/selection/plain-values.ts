// Values of fields as plain JavaScript, bounded: the check of an operation against its shape is one step.

import { isJsonObject, type Json, JsonFloat } from '../../tokens/json-values.ts';
import { invalid } from '../inference/request-fields.ts';
import { excludedMax } from './shapes.ts';

/** Items of lists and members of objects in one field. */
const fieldItemsMax: number = excludedMax;

/** What the prompt is read from: large or exact. */
const promptFields: ReadonlySet<string> = new Set([
  'tokens',
  'text',
  'messages',
  'blockHashes',
  'tools',
  'chat_template',
  'chat_template_kwargs',
  'mm_processor_kwargs',
  'documents',
  'reasoning_effort',
]);

/**
 * @returns undefined for null, an empty value of the same kind for what only the prompt is read from
 * @throws RequestError 400 naming the field if it has more than `fieldItemsMax`
 */
export function plain(value: Json, field: string): unknown {
  if (value === null) return undefined;
  if (promptFields.has(field)) return emptied(value);
  let items = 0;
  const count = (more: number): void => {
    items += more;
    if (items > fieldItemsMax) throw invalid(field, `${field} has more than ${fieldItemsMax} items`);
  };
  const plainOf = (inner: Json): unknown => {
    if (inner instanceof JsonFloat) return inner.value;
    if (isJsonObject(inner)) {
      count(inner.size);
      return Object.fromEntries([...inner].map(([name, member]) => [name, plainOf(member)]));
    }
    if (!Array.isArray(inner)) return inner;
    count(inner.length);
    return (inner as Json[]).map(plainOf);
  };
  return plainOf(value);
}

function emptied(value: Json): unknown {
  if (typeof value === 'string') return '';
  if (isJsonObject(value)) return {};
  if (value instanceof JsonFloat) return value.value;
  return typeof value === 'object' ? [] : value;
}

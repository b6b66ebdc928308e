// Decodes the id at the end of a path.

import { RequestError } from '../../wire/openai-error.ts';

/** @throws RequestError 400 if an escape is malformed */
export function unescapeId(escaped: string): string {
  try {
    return decodeURIComponent(escaped);
  } catch {
    throw new RequestError(400, 'invalid_value', 'the id has a malformed escape', 'id');
  }
}

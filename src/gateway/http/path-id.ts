// The id at the end of a path, as it was before it was escaped for the URL.

import { RequestError } from '../../wire/openai-error.ts';

/** @throws RequestError 400 if the escapes are wrong */
export function unescapeId(escaped: string): string {
  try {
    return decodeURIComponent(escaped);
  } catch {
    throw new RequestError(400, 'invalid_value', 'the id is not well escaped', 'id');
  }
}

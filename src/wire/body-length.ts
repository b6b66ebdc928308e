// How much an engine has to compute for a request whose prompt is not tokenized: text, tokens, other parts, audio.

/** The sum of its members is the length of the prompt. */
export interface BodyLength {
  /** Text, in bytes. */
  readonly textBytes: number;
  /** Given as token ids. */
  readonly tokens: number;
  /** Parts that are not text, such as images. */
  readonly otherParts: number;
  /** Files, in bytes. */
  readonly fileBytes: number;
}

export const noLength: BodyLength = { textBytes: 0, tokens: 0, otherParts: 0, fileBytes: 0 };

/** A query is computed anew with each document. Both as text, or the documents as a list. */
const queries = ['query', 'text_1', 'queries', 'data_1'] as const;
const documents = ['documents', 'texts', 'text_2', 'items', 'data_2'] as const;

/** @param body as `JSON.parse` gives it */
export function lengthOfJson(body: Readonly<Record<string, unknown>>): BodyLength {
  return lengthOfMembers(new Map(Object.entries(body)), (value) => typeof value === 'number');
}

/**
 * O(values), without recursion. Objects may be maps, and lists of token ids typed arrays.
 * @param isNumber tells numbers, which may be objects
 */
export function lengthOfMembers(body: ReadonlyMap<string, unknown>, isNumber: (value: unknown) => boolean): BodyLength {
  const length = { ...noLength };
  const waiting: unknown[] = [];
  for (const [name, value] of body) if (name !== 'model') waiting.push(value);
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (typeof value === 'string') {
      if (value.startsWith('data:')) length.otherParts += 1;
      else length.textBytes += Buffer.byteLength(value);
    } else if (value instanceof Uint32Array) length.tokens += value.length;
    else if (Array.isArray(value)) {
      if (isNumber(value[0])) length.tokens += value.length;
      // One by one: a long list would not fit into arguments.
      else for (const item of value) waiting.push(item);
    } else if (value instanceof Map) {
      for (const member of value.values()) waiting.push(member);
    } else if (typeof value === 'object' && value !== null) {
      for (const member of Object.values(value)) waiting.push(member);
    }
  }
  length.textBytes += repeatedBytes(body);
  return length;
}

/** Text that is computed again and again. */
function repeatedBytes(body: ReadonlyMap<string, unknown>): number {
  const query = queries.map((name) => body.get(name)).find((value) => typeof value === 'string');
  const list = documents.map((name) => body.get(name)).find(isList);
  if (typeof query !== 'string' || list === undefined) return 0;
  return Buffer.byteLength(query) * Math.max(0, list.length - 1);
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || value instanceof Uint32Array;
}

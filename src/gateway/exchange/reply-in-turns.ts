// Sends an answer that grows with the fleet: its text is made piece by piece, in slices of a few milliseconds, and no
// faster than the client reads, so that neither the event loop nor the memory notices its size.

import { drained } from './drained.ts';
import type { Exchange } from './exchange.ts';
import { replyText } from './http-reply.ts';
import type { TurnSlices } from './turn-slices.ts';

/** Characters that are written together; an answer that is not longer is sent whole, with its length. */
const writtenCharsMin = 65_536;

/**
 * @param slices shared by all such answers, so that many at once take no longer turns
 * @param pieces of the text, each made when it is asked for
 */
export async function replyInTurns(
  slices: TurnSlices,
  exchange: Exchange,
  contentType: string,
  pieces: Iterable<string>,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { response } = exchange;
  let begun = false;
  let text = '';
  await slices.take();
  for (const piece of pieces) {
    text += piece;
    if (text.length < writtenCharsMin) continue;
    if (exchange.gone) return;
    if (!begun) response.writeHead(200, { ...headers, 'content-type': contentType });
    begun = true;
    if (!response.write(text)) await drained(response);
    text = '';
    await slices.take();
  }
  if (exchange.gone) return;
  if (begun) response.end(text);
  else replyText(response, 200, contentType, text, headers);
}

export const jsonType = 'application/json';

/** JSON of an object whose member `name` is a list. @param items each is asked for its JSON when its turn has come */
export function* listPieces(name: string, items: Iterable<unknown>): Generator<string> {
  yield* textPieces(name, textsOf(items));
}

function* textsOf(items: Iterable<unknown>): Generator<string> {
  for (const item of items) yield JSON.stringify(item);
}

/** As `listPieces`. @param texts JSON of the items */
export function* textPieces(name: string, texts: Iterable<string>): Generator<string> {
  yield `{${JSON.stringify(name)}:[`;
  let separator = '';
  for (const text of texts) {
    yield separator + text;
    separator = ',';
  }
  yield ']}';
}

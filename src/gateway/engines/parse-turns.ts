// Limits parsing of large engine answers to one per turn of the event loop, so that a mass join can't block it.

/** Smaller answers are parsed at once: that takes less time than a turn. */
export const turnBytesMin: number = 32 * 1024;

let last: Promise<void> = Promise.resolve();

/** Resolves in a turn of the event loop in which no other caller is resolved. */
export function parseTurn(): Promise<void> {
  last = last.then(() => new Promise((resolve) => setImmediate(resolve)));
  return last;
}

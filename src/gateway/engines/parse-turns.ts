// Parses large answers of engines one per turn of the event loop: many engines that join at once do not block it.

/** Smaller answers are parsed at once: they take less time than a turn. */
export const turnBytesMin: number = 32 * 1024;

let last: Promise<void> = Promise.resolve();

/** Resolves in a turn that no other caller has. */
export function parseTurn(): Promise<void> {
  last = last.then(() => new Promise((resolve) => setImmediate(resolve)));
  return last;
}

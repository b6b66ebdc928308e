// Where a key's place is in a hash table. Only this process can predict it.
//
// Clients choose prompts and callers of the selection service name hashes. With a public function they could choose keys
// that share one place, and every look-up would walk all of them. Results never depend on where a key lies.

const secret = crypto.getRandomValues(new Uint32Array(5));
/** For maps of the language, whose places of numbers are public. */
export const lowMask: number = secret[0]!;
export const highMask: number = secret[4]!;
const highFactor = secret[1]! | 1;
const mixedFactor = secret[2]! | 1;
const factor = secret[3]! | 1;

/**
 * 32 bits, of which the upper ones are spread best. Lows in a row, with one high, are spread evenly: the lab numbers
 * blocks so.
 */
export function spread(low: number, high: number): number {
  const mixed = Math.imul(high, highFactor);
  return Math.imul((low ^ lowMask) + Math.imul(mixed ^ (mixed >>> 15), mixedFactor), factor);
}

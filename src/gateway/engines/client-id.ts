// What clients are told of an engine instead of its address: always the same, and nothing can be learnt from it.

import { createHmac, randomBytes } from 'node:crypto';

/** Without it, whoever guesses an address could see whether it is one. Another one after each start. */
const pepper = randomBytes(32);
const hexDigits = 12;

export function clientIdOf(url: string): string {
  return `engine-${createHmac('sha256', pepper).update(url).digest('hex').slice(0, hexDigits)}`;
}

// The name of an engine that clients see instead of its address: stable within a process, and not reversible.

import { createHmac, randomBytes } from 'node:crypto';

/** Keeps clients from testing guessed addresses; changes with each start. */
const pepper = randomBytes(32);
const hexDigits = 12;

export function clientIdOf(url: string): string {
  return `engine-${createHmac('sha256', pepper).update(url).digest('hex').slice(0, hexDigits)}`;
}

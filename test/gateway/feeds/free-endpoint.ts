// An address that no socket uses.

import { freePort } from '../../e2e/free-port.ts';

export async function freeEndpoint(): Promise<string> {
  return `tcp://127.0.0.1:${await freePort()}`;
}

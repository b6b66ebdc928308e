// An address that no socket uses.

import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the ports that the system gives to connections: one of another test can't take it before it is used. */
const [portMin, portMax] = [15_000, 32_000];

export async function freeEndpoint(): Promise<string> {
  for (;;) {
    const port = randomInt(portMin, portMax);
    if (await isFree(port)) return `tcp://127.0.0.1:${port}`;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

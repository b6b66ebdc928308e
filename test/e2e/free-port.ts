// Ports that a test closes and opens again.

import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the ports that the system gives to connections and to port 0: no other test's socket takes one meanwhile. */
const [portMin, portMax] = [15_000, 32_000];

/** The first of `count` neighbouring ports of loopback that no socket uses. */
export async function freePort(count = 1): Promise<number> {
  for (;;) {
    const port = randomInt(portMin, portMax);
    const free = await Promise.all(Array.from({ length: count }, (_, i) => isFree(port + i)));
    if (!free.includes(false)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

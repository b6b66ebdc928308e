// Unused ports below the system's ephemeral range, so that an engine can use its port again after a restart.

import { once } from 'node:events';
import { createServer } from 'node:net';

const portMin = 20_000;
const portCount = 12_000;

/** Different start for each process. */
let next = (process.pid * 97) % portCount;

export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = portMin + next;
    next = (next + 1) % portCount;
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port);
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  await once(server.close(), 'close');
  return true;
}

// Light traffic at a gateway that does not answer: bounded, silent, and ended by its signal.

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { inFlightMax, sendLightTraffic } from '../../src/cli/demo-traffic.ts';

it('has many requests in flight without a warning of the process, and no more than its limit', async () => {
  const warnings: string[] = [];
  const warn = ({ message }: Error): number => warnings.push(message);
  process.on('warning', warn);
  let open = 0;
  const stop = new AbortController();
  const server = createServer(() => {
    open += 1;
    // Node takes more than ten listeners for a leak.
    if (open === 12) stop.abort();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await sendLightTraffic({
    gateway: `http://127.0.0.1:${port}`,
    model: 'any',
    engines: 400,
    seed: 1,
    signal: stop.signal,
  });
  server.closeAllConnections();
  server.close();
  process.off('warning', warn);
  expect(open).toBeGreaterThanOrEqual(12);
  expect(open).toBeLessThanOrEqual(inFlightMax);
  expect(warnings).toEqual([]);
});

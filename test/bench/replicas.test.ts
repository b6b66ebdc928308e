// The bench of replicas runs small, and its requests end.

import { expect, it } from 'vitest';
import { measureSharing } from '../../bench/replicas.ts';
import { NatsServer, natsProgram } from '../gateway/peers/nats-server.ts';

it.skipIf(natsProgram() === null)('runs small', async () => {
  const nats = await NatsServer.start();
  const sizes = { replicas: 1, requestsPerS: 50, seconds: 0.3, rounds: 1 };
  const figures = await measureSharing(nats.url, null, sizes);
  await nats.stop();
  expect(figures.requests).toBeGreaterThan(50);
  expect(figures.rounds).toHaveLength(1);
  for (const spent of Object.values(figures.rounds[0]!)) expect(spent).toBeGreaterThan(0);
});

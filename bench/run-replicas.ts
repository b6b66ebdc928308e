// Runs the bench of replicas: `npm run bench:replicas [-- REPLICAS REQUESTS_PER_S [ROUNDS]]`. Needs nats-server.

import { fileURLToPath } from 'node:url';
import { findNats, natsAdvice, startNats } from '../src/cli/nats-program.ts';
import { measureSharing, printSharing, runOthers } from './replicas.ts';

const [first, second, third] = process.argv.slice(2);
if (process.send !== undefined) runOthers(first!, Number(second), Number(third));
else {
  const [replicas, requestsPerS] = [Number(first ?? 4), Number(second ?? 500)];
  const program = findNats((line) => console.error(line));
  if (program === null) throw new Error(natsAdvice);
  const nats = await startNats(program);
  const sizes = { replicas, requestsPerS, seconds: 6, rounds: Number(third ?? 5) };
  printSharing(await measureSharing(nats.url, fileURLToPath(import.meta.url), sizes), replicas, requestsPerS);
  await nats.stop();
}

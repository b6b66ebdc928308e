// Replicas may name the same pool by different models: load goes to the worker of the same id. Workers that only the
// other has are told.

import { expect, it } from 'vitest';
import { Replica } from '../../src/cluster/index.ts';
import { BlockHasher, createPolicy, Router } from '../../src/core/index.ts';

const worker = 'http://10.0.0.1:8000#0';

function routerOf(id: string): Router {
  const router = new Router({ policy: createPolicy('kv'), seed: 1 });
  router.addWorker({ id, blockSize: 16, capacityBlocks: 1000, source: 'events' });
  return router;
}

it('counts load on a worker whose pool has another name there', () => {
  const [one, two] = ['one', 'two'].map((origin) => new Replica({ origin, epoch: 1 })) as [Replica, Replica];
  const [ours, theirs, elsewhere] = [routerOf(worker), routerOf(worker), routerOf('http://10.0.0.2:8000#0')];
  one.addPool('base', ours);
  two.addPool('base', elsewhere);
  two.addPool('adapter', theirs);
  const tokens = Uint32Array.from({ length: 64 }, (_, i) => i);
  const routed = ours.route({ prompts: [{ isl: 64, hashes: [new BlockHasher().hash(tokens, 16)] }] }, 0);
  for (const message of one.flush(1)) expect(two.receive(message, 1)).toBe('applied');
  expect(theirs.load(0)).toMatchObject({ runningRequests: 0, othersRequests: 1, othersPrefillTokens: 64 });
  expect(elsewhere.load(0).othersRequests).toBe(0);
  expect(routed.kind).toBe('routed');
  if (routed.kind === 'routed') ours.release(routed.bookings[0]!, 'done', 2);
  for (const message of one.flush(3)) expect(two.receive(message, 3)).toBe('applied');
  expect(theirs.load(0)).toMatchObject({ othersBlocks: 0, othersRequests: 0, othersPrefillTokens: 0 });
});

it('tells of the workers that only the other replica has', () => {
  const [one, two] = ['one', 'two'].map((origin) => new Replica({ origin, epoch: 1 })) as [Replica, Replica];
  one.addPool('base', routerOf(worker));
  const theirs = routerOf('http://engine-1:8000#0');
  two.addPool('base', theirs);
  for (const message of one.tick(1)) two.receive(message, 1);
  expect(two.view(1).origins[0]).toMatchObject({ strangeWorkers: 1, strangeWorkerIds: [worker] });
  theirs.addWorker({ id: worker, blockSize: 16, capacityBlocks: 1000, source: 'events' });
  two.tick(2);
  expect(two.view(2).origins[0]).toMatchObject({ strangeWorkers: 0, strangeWorkerIds: [] });
});

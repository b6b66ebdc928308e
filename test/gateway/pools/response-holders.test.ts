import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Worker } from '../../../src/gateway/engines/engine.ts';
import { type HeldResponse, ResponseHolders } from '../../../src/gateway/pools/response-holders.ts';

const workers = [{ id: 'a' }, { id: 'b' }] as unknown as readonly Worker[];
const held = (worker: Worker, key: string | null = null): HeldResponse => ({ worker, model: 'm', key, tokens: 7 });

it('finds the worker of a response, for the key that asked for it only', () => {
  const holders = new ResponseHolders();
  holders.remember('r', held(workers[0]!, 'alice'));
  expect(holders.find('r', 'alice')?.worker).toBe(workers[0]);
  expect([holders.find('r', 'bob'), holders.find('r', null), holders.find('s', 'alice')]).toEqual([null, null, null]);
  expect([holders.isForeign('r', 'bob'), holders.isForeign('r', 'alice'), holders.isForeign('s', 'bob')]).toEqual([
    true,
    false,
    false,
  ]);
});

it('equals its naive twin, within its limit', () => {
  const id = fc.constantFrom('p', 'q', 'r', 's', 't');
  const step = fc.oneof(
    fc.record({ kind: fc.constant('remember' as const), id, worker: fc.constantFrom(...workers) }),
    fc.record({ kind: fc.constant('find' as const), id, worker: fc.constantFrom(...workers) }),
    fc.record({ kind: fc.constant('gone' as const), id, worker: fc.constantFrom(...workers) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const holders = new ResponseHolders(3);
      let twin: (readonly [string, Worker])[] = [];
      for (const { kind, id: of, worker } of steps) {
        const known = twin.find(([one]) => one === of);
        const others = twin.filter(([one]) => one !== of);
        if (kind === 'remember') {
          holders.remember(of, held(worker));
          twin = [...others, [of, worker] as const].slice(-3);
        } else if (kind === 'find') {
          expect(holders.find(of, null)?.worker).toBe(known?.[1]);
          if (known !== undefined) twin = [...others, known];
        } else {
          holders.workerGone(worker);
          twin = twin.filter(([, its]) => its !== worker);
        }
        expect(holders.size).toBe(twin.length);
      }
    }),
  );
});

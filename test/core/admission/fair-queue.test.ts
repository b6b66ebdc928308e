// Fair queue: deficit round robin compared with its textbook form, fairness over tenants, and a full queue.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LanePlace } from '../../../src/core/admission/admission-lane.ts';
import { FairQueue, quantumTokens } from '../../../src/core/admission/fair-queue.ts';
import { applicant, harnessOf } from './admission-harness.ts';

const none = { isShut: () => false };

interface Asked {
  readonly tenant: string;
  readonly weight: number;
  readonly tokens: number;
}

function placeOf({ tenant, weight, tokens }: Asked, arrival: number): LanePlace<number> {
  return new LanePlace(arrival, { lane: '', priority: 0, tenant, weight, arrival, blocks: 1, tokens, workMs: 0 });
}

/** As in the paper: a turn goes round, grants a quantum at each visit, and serves what the deficit covers. */
class TextbookRoundRobin {
  #ring: { tenant: string; weight: number; deficit: number; queue: { name: number; tokens: number }[] }[] = [];
  #turn = 0;
  #granted = false;

  add({ tenant, weight, tokens }: Asked, name: number): void {
    let one = this.#ring.find((other) => other.tenant === tenant);
    if (one === undefined) {
      one = { tenant, weight, deficit: 0, queue: [] };
      this.#ring.push(one);
    }
    one.queue.push({ name, tokens });
  }

  serve(): number | undefined {
    while (this.#ring.length > 0) {
      if (this.#turn >= this.#ring.length) this.#turn = 0;
      const one = this.#ring[this.#turn]!;
      if (!this.#granted) one.deficit += quantumTokens * one.weight;
      this.#granted = true;
      if (one.deficit >= one.queue[0]!.tokens) {
        const { name, tokens } = one.queue.shift()!;
        one.deficit -= tokens;
        if (one.queue.length === 0) {
          this.#ring.splice(this.#turn, 1);
          this.#granted = false;
        }
        return name;
      }
      this.#turn += 1;
      this.#granted = false;
    }
    return undefined;
  }
}

const asked = fc.record({
  tenant: fc.constantFrom('a', 'b', 'c', 'd'),
  tokens: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 3000 })),
});
const weights: Readonly<Record<string, number>> = { a: 1, b: 1, c: 2, d: 5 };

describe('FairQueue', () => {
  it('serves in the order of the textbook form of deficit round robin', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(asked, fc.constant('serve' as const)), { maxLength: 200 }), (steps) => {
        const queue = new FairQueue<number>();
        const textbook = new TextbookRoundRobin();
        const serve = (): number | undefined => {
          const first = queue.first(none);
          if (first !== undefined) queue.serve(first, first.tokens);
          const expected = textbook.serve();
          expect(first?.item).toBe(expected);
          return expected;
        };
        for (const [name, step] of steps.entries()) {
          if (step === 'serve') serve();
          else {
            const one = { ...step, weight: weights[step.tenant]! };
            queue.add(placeOf(one, name));
            textbook.add(one, name);
          }
        }
        while (serve() !== undefined);
        expect(queue.counts().size).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it('gives tenants that always wait tokens by their weights, within one request and one quantum', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 3, maxLength: 3 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 20, max: 400 }),
        (sizes, weight, count) => {
          const queue = new FairQueue<number>();
          const got = [0, 0, 0];
          let arrival = 0;
          const add = (tenant: number): void => {
            const share = tenant === 0 ? weight : 1;
            queue.add(placeOf({ tenant: `${tenant}`, weight: share, tokens: sizes[tenant]! }, arrival++));
          };
          for (const tenant of [0, 0, 1, 1, 2, 2]) add(tenant);
          for (let i = 0; i < count; i++) {
            const place = queue.first(none)!;
            queue.serve(place, place.tokens);
            got[Number(place.tenant)]! += place.tokens;
            add(Number(place.tenant));
          }
          const shares = [got[0]! / weight, got[1]!, got[2]!];
          const slack = Math.max(...sizes) + quantumTokens;
          expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(slack);
        },
      ),
    );
  });
});

describe('tenants in the admission queue', () => {
  it('take turns, however many requests one of them sent first', () => {
    const { enter, drain, release } = harnessOf([{ capacityBlocks: 10 }]);
    expect(enter(applicant(0, 10))).toBe(0);
    for (let name = 1; name <= 20; name++) enter({ ...applicant(name, 10), tenant: 'burst' });
    for (let name = 21; name <= 23; name++) enter({ ...applicant(name, 10), tenant: 'calm' });
    const order: number[] = [];
    for (let last = 0; order.length < 8; last = order.at(-1)!) {
      release(last);
      order.push(...drain().map(([name]) => name));
    }
    expect(order).toEqual([1, 21, 2, 22, 3, 23, 4, 5]);
  });

  it('do not overtake a request of higher priority', () => {
    const { enter, drain, release } = harnessOf([{ capacityBlocks: 10 }]);
    enter(applicant(0, 10));
    for (const name of [1, 2, 3]) enter({ ...applicant(name, 10, { priority: -1 }), tenant: 'first' });
    enter({ ...applicant(4, 10), tenant: 'second' });
    const order: number[] = [];
    for (let last = 0; order.length < 4; last = order.at(-1)!) {
      release(last);
      order.push(...drain().map(([name]) => name));
    }
    expect(order).toEqual([1, 2, 3, 4]);
  });

  it('keep the worker that a blocked request reserves, although others have their turn', () => {
    const { enter, drain, release } = harnessOf([{ capacityBlocks: 10 }]);
    for (const name of [0, 1]) enter(applicant(name, 5));
    enter({ ...applicant(2, 10), tenant: 'large' });
    for (const name of [3, 4, 5]) enter({ ...applicant(name, 5), tenant: 'small' });
    release(0);
    expect(drain().map(([name]) => name)).toEqual([]);
    release(1);
    expect(drain().map(([name]) => name)).toEqual([2]);
  });

  it('displace the last request of whoever fills a full queue', () => {
    const { enter, drain, release, admission } = harnessOf([{ capacityBlocks: 10 }], 4);
    enter(applicant(0, 10));
    for (const name of [1, 2, 3, 4]) enter({ ...applicant(name, 10), tenant: 'burst' });
    expect(enter({ ...applicant(5, 10), tenant: 'burst' })).toBe('full');
    const entry = admission.enter({ ...applicant(6, 10), tenant: 'calm' }, 0);
    expect(entry).toMatchObject({ kind: 'waiting', displaced: { applicant: { name: 4 } } });
    expect(admission.enter({ ...applicant(7, 10, { priority: 1 }), tenant: 'calm' }, 0).kind).toBe('full');
    expect([admission.waiting, ...admission.waitingByTenant()]).toEqual([4, ['burst', 3], ['calm', 1]]);
    const order: number[] = [];
    for (let last = 0; order.length < 4; last = order.at(-1)!) {
      release(last);
      order.push(...drain().map(([name]) => name));
    }
    expect(order).toEqual([1, 6, 2, 3]);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolveConfig } from '../../../src/gateway/config/config.ts';
import type { ModelRoute, ModelTarget } from '../../../src/gateway/config/model-route.ts';
import { routeFaults } from '../../../src/gateway/config/route-faults.ts';
import { ModelRoutes } from '../../../src/gateway/pools/model-routes.ts';
import { naiveCandidates } from '../../model/naive-model-routes.ts';

const pools = ['a', 'b'];
const base = { workers: ['http://127.0.0.1:1'], pools };

const target: fc.Arbitrary<ModelTarget> = fc.oneof(
  fc.integer({ min: 0, max: 9 }).map((n) => ({ model: `m${n}` })),
  fc.constantFrom(...pools).map((pool) => ({ pool })),
  fc.constantFrom(...pools).map((pool) => ({ pool, model: 'm1' })),
);
const entry = (name: string): fc.Arbitrary<ModelRoute> =>
  fc.record({
    name: fc.constant(name),
    split: fc
      .uniqueArray(target, { minLength: 1, maxLength: 3, selector: (one) => JSON.stringify(one) })
      .map((targets) => targets.map((one, i) => ({ ...one, weight: i + 1 }))),
    fallback: fc.array(target, { maxLength: 2 }),
  });
const routes = fc
  .tuple(...['m0', 'm1', 'm2', 'm3', 'm4'].map(entry))
  .filter((models) => routeFaults({ ...resolveConfig(base), models }).length === 0);

describe('the targets of a name', () => {
  it('are those of its naive twin, in order, for any key', () => {
    fc.assert(
      fc.property(routes, fc.string(), (models, key) => {
        const made = new ModelRoutes(models);
        for (const { name } of models) {
          const picked = new Map<string, number>();
          // The draw itself is a random choice among targets: taken from the first target that comes of each entry alone.
          const alone = (route: ModelRoute): number => {
            const [first] = new ModelRoutes([{ ...route, fallback: [] }]).candidates(route.name, key);
            return route.split.findIndex(({ model, pool }) => model === first!.model && pool === first!.pool);
          };
          for (const route of models) picked.set(route.name, alone(route));
          const expected = naiveCandidates(models, name, (route) => picked.get(route.name)!);
          const found = [...made.candidates(name, key)].map(({ way: _, ...one }) => one);
          expect(found).toEqual(expected);
        }
      }),
    );
  });

  it('are among the reachable ones', () => {
    fc.assert(
      fc.property(routes, fc.string(), (models, key) => {
        const made = new ModelRoutes(models);
        const shown = (name: string): string[] => [...made.reachable(name)].map((one) => JSON.stringify(one));
        for (const { name } of models) {
          const reachable = new Set(shown(name));
          for (const candidate of made.candidates(name, key)) expect(reachable).toContain(JSON.stringify(candidate));
        }
      }),
    );
  });

  it('say how they were reached', () => {
    const made = new ModelRoutes(
      resolveConfig({
        ...base,
        models: [
          'fast=m',
          { name: 'm', model: 'm', fallback: [{ pool: 'b' }] },
          {
            name: 's',
            split: [
              { model: 'fast', weight: 1 },
              { model: 'x', weight: 0 },
            ],
          },
        ],
      }).models,
    );
    const ways = (name: string): string[] => [...made.candidates(name, 'k')].map(({ way }) => way);
    expect([ways('m'), ways('fast'), ways('s'), ways('x')]).toEqual([
      ['direct', 'fallback'],
      ['alias', 'fallback'],
      ['split', 'fallback'],
      [],
    ]);
  });
});

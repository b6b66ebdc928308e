import { describe, expect, it } from 'vitest';
import { ConfigError, resolveConfig } from '../../../src/gateway/config/config.ts';
import { LiveConfig } from '../../../src/gateway/config/live-config.ts';

const base = { workers: ['http://127.0.0.1:1'] };
const pools = [{ name: 'a' }, { name: 'b' }];

/** What the configuration's check says, with the place of each fault. */
function faultsOf(options: object): string[] {
  try {
    resolveConfig({ ...base, ...options });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.faults.map(({ setting, path, message }) => `${[setting, ...path].join('.')}: ${message}`);
  }
}

describe('an entry of models', () => {
  it('is an alias as a text, and has targets, fallback and shadow as an object', () => {
    const { models } = resolveConfig({
      ...base,
      pools,
      models: [
        'fast=org/llama:8b',
        {
          name: 'llama',
          split: [
            { pool: 'a', weight: 95 },
            { pool: 'b', model: 'next', weight: 5 },
          ],
          fallback: [{ model: 'fast' }],
          shadow: { pool: 'b', share: 0.1 },
        },
        { name: 'own', pool: 'a' },
      ],
    });
    expect(models.map(({ name, split }) => [name, split])).toEqual([
      ['fast', [{ model: 'org/llama:8b', weight: 1 }]],
      [
        'llama',
        [
          { pool: 'a', weight: 95 },
          { pool: 'b', model: 'next', weight: 5 },
        ],
      ],
      ['own', [{ pool: 'a', weight: 1 }]],
    ]);
    // What `kvoyant check` shows is a configuration again.
    expect(resolveConfig({ ...base, pools, models: [...models] }).models).toEqual(models);
  });

  const wrong: readonly [string, unknown, string][] = [
    ['a text without a target', 'fast', 'models.0: "fast" is not NAME=MODEL'],
    ['no name', { model: 'm' }, 'models.0.name: name must have 1 to 1024 characters'],
    ['a control character', { name: 'a\n', model: 'm' }, 'models.0.name: name must have'],
    ['no target', { name: 'm' }, 'models.0: "m" needs either a model or pool, or a split'],
    ['two kinds of target', { name: 'm', model: 'x', split: [] }, 'models.0: "m" needs either'],
    ['an unknown field', { name: 'm', modle: 'x' }, 'models.0.modle: has the unknown field "modle"'],
    ['a blank field', { name: 'm', model: null }, 'models.0.model: model is empty'],
    ['an empty split', { name: 'm', split: [] }, 'models.0.split: split of "m" must be a list of 1 to 32'],
    ['no weight', { name: 'm', split: [{ model: 'x' }] }, 'models.0.split.0: split[0] of "m" needs a weight'],
    [
      'a negative weight',
      { name: 'm', split: [{ model: 'x', weight: -1 }] },
      'models.0.split.0: split[0] of "m" needs a weight, a number from 0',
    ],
    [
      'weights of 0 only',
      { name: 'm', split: [{ model: 'x', weight: 0 }] },
      'models.0.split: split of "m" has no weight above 0',
    ],
    [
      'the same target twice',
      {
        name: 'm',
        split: [
          { model: 'x', weight: 1 },
          { model: 'x', weight: 2 },
        ],
      },
      'models.0.split.1: split[1] of "m" is the same target as split[0]',
    ],
    [
      'an unknown pool',
      {
        name: 'm',
        split: [
          { pool: 'a', weight: 1 },
          { pool: 'c', weight: 1 },
        ],
      },
      'models.0: split[1] of "m" names the pool c, which is not in pools',
    ],
    ['an unknown fallback', { name: 'm', model: 'x', fallback: [{ pool: 'c' }] }, 'models.0: fallback[0] of "m" names'],
    [
      'a shadow of all',
      { name: 'm', model: 'x', shadow: { pool: 'a', share: 2 } },
      'models.0.shadow: shadow of "m" needs',
    ],
    [
      'a shadow of itself',
      { name: 'm', model: 'm', shadow: { model: 'm', share: 1 } },
      'models.0: shadow of "m" is the',
    ],
    ['a bad pool name', { name: 'm', pool: 'a b' }, 'models.0: "m" has a pool that must have 1 to 64 letters'],
  ];
  it.each(wrong)('with %s is refused, with its place', (_, entry, message) => {
    const faults = faultsOf({ pools, models: [entry] });
    expect(faults).toHaveLength(1);
    expect(faults[0]!.slice(0, message.length)).toBe(message);
  });

  it('that leads to itself is refused, with the way', () => {
    expect(faultsOf({ models: ['a=b', { name: 'b', model: 'x', fallback: [{ model: 'c' }] }, 'c=a'] })).toEqual([
      'models.0: leads to itself: "a" -> "b" -> "c" -> "a"',
    ]);
  });

  it('may stand in front of the model of its own name', () => {
    expect(faultsOf({ models: [{ name: 'a', model: 'a', fallback: [{ model: 'b' }] }] })).toEqual([]);
  });

  it('that leads to too many targets in turn is refused', () => {
    const fallback = (name: string) => Array.from({ length: 8 }, () => ({ model: name }));
    const models = [
      { name: 'a', model: 'x', fallback: fallback('b') },
      { name: 'b', model: 'x', fallback: fallback('y') },
    ];
    expect(faultsOf({ models })).toEqual([
      'models.0: "a" leads to 73 targets in turn: at most 64 are tried (targetsMax)',
    ]);
  });

  it('of a name that another entry has is refused', () => {
    expect(faultsOf({ models: ['a=b', 'a=c'] })).toEqual(['models.1: names "a" twice']);
  });
});

describe('an entry of pools', () => {
  it('has settings, as a text or an object', () => {
    const config = resolveConfig({
      ...base,
      pools: ['a,policy=kv,overlap-weight=2,queue=false,running-requests-max=8', { name: 'b', tokenizer: 'none' }],
    });
    expect(config.pools).toEqual([
      { name: 'a', policy: 'kv', overlapWeight: 2, queue: false, runningRequestsMax: 8 },
      { name: 'b', tokenizer: 'none' },
    ]);
  });

  const wrong: readonly [string, unknown, string][] = [
    ['an unknown setting', { name: 'a', port: 1 }, 'pools.0.port: port of a is unknown; allowed are name, continue'],
    ['a wrong value', { name: 'a', policy: 'best' }, 'pools.0.policy: policy of a must be one of '],
    [
      'a wrong number',
      'a,queued-requests-max=-1',
      'pools.0.queuedRequestsMax: queuedRequestsMax of a must be an integer',
    ],
    ['a blank value', { name: 'a', policy: null }, 'pools.0.policy: policy of a is empty'],
    ['no value', 'a,policy', 'pools.0: "policy" of a is not of the form key=value'],
    ['no name', { policy: 'kv' }, 'pools.0.name: name must have 1 to 64 letters'],
    ['a contradiction', 'a,queue=false,late-binding=true', 'pools.0: lateBinding of a needs the queue'],
  ];
  it.each(wrong)('with %s is refused, with its place', (_, entry, message) => {
    const faults = faultsOf({ pools: [entry] });
    expect(faults).toHaveLength(1);
    expect(faults[0]!.slice(0, message.length)).toBe(message);
  });

  it('must exist for a worker that names it', () => {
    expect(faultsOf({ workers: ['http://127.0.0.1:1,pool=c'], pools })).toEqual([
      'workers.0: pool of http://127.0.0.1:1 is c, which is not in pools',
    ]);
    expect(faultsOf({ workers: ['http://127.0.0.1:1,pool=a'], pools })).toEqual([]);
  });

  it('comes and goes with a reload, but keeps its settings until a restart', () => {
    const live = new LiveConfig(resolveConfig({ ...base, pools: ['a,policy=kv'] }));
    const more = live.replace(resolveConfig({ ...base, pools: ['a,policy=kv', 'b,queue=false'] }));
    expect(more).toEqual({ changed: ['pools'], needRestart: [] });
    const other = live.replace(resolveConfig({ ...base, pools: ['a,policy=random', 'b,queue=false'] }));
    expect(other).toEqual({ changed: [], needRestart: ['pools'] });
    expect(live.current.pools.map(({ name, policy }) => [name, policy])).toEqual([
      ['a', 'kv'],
      ['b', undefined],
    ]);
  });
});

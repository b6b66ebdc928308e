// Finds contradictions between workers, pools and models: unknown pools, names that lead to themselves.

import type { ConfigFault } from './config-fault.ts';
import type { EngineSpec } from './engine-spec.ts';
import { type ModelRoute, type ModelTarget, targetsMax } from './model-route.ts';
import { configOfPool, type PoolEntry } from './pool-entry.ts';

interface RoutedConfig {
  readonly workers: readonly EngineSpec[];
  readonly pools: readonly PoolEntry[];
  readonly models: readonly ModelRoute[];
  readonly queue: boolean;
  readonly lateBinding: boolean;
}

export function routeFaults(config: RoutedConfig): ConfigFault[] {
  const { workers, pools, models } = config;
  const faults: ConfigFault[] = [];
  const add = (setting: string, path: ConfigFault['path'], message: string): void => {
    faults.push({ setting, path, message });
  };
  for (const [index, name] of repeated(pools.map((pool) => pool.name))) add('pools', [index], `names ${name} twice`);
  for (const [index, name] of repeated(models.map((route) => route.name))) {
    add('models', [index], `names ${JSON.stringify(name)} twice`);
  }
  for (const [index, spec] of workers.entries()) {
    const message = unknownPoolFault(spec, pools);
    if (message !== null) add('workers', [index], message);
  }
  for (const [index, { name, workerCertFile, workerKeyFile }] of pools.entries()) {
    if ((workerCertFile === undefined) !== (workerKeyFile === undefined)) {
      const missing = workerKeyFile === undefined ? 'workerKeyFile' : 'workerCertFile';
      add('pools', [index], `${missing} of ${name} is missing: TLS needs both a certificate and its key`);
    }
    const { queue, lateBinding } = configOfPool(config, name);
    if (lateBinding && !queue) add('pools', [index], `lateBinding of ${name} needs the queue: set queue as well`);
  }
  const known = new Set(pools.map((pool) => pool.name));
  for (const [index, route] of models.entries()) {
    for (const [field, { pool }] of targetsOf(route)) {
      if (pool === undefined || known.has(pool)) continue;
      add('models', [index], `${field} of ${JSON.stringify(route.name)} names the pool ${pool}, which is not in pools`);
    }
    const { model, pool } = route.shadow ?? {};
    if (route.shadow !== undefined && pool === undefined && model === route.name) {
      add('models', [index], `shadow of ${JSON.stringify(route.name)} is the model itself: name a pool`);
    }
  }
  // Neither makes sense while a name is given twice.
  if (faults.length === 0) faults.push(...chainFaults(models));
  return faults;
}

/** Null: it names none, or one that there is. */
export function unknownPoolFault({ url, pool }: EngineSpec, pools: readonly PoolEntry[]): string | null {
  if (pool === undefined || pools.some(({ name }) => name === pool)) return null;
  return `pool of ${url} is ${pool}, which is not in pools`;
}

/** Names that lead back to themselves, or to too many targets. Linear in the targets. */
function chainFaults(models: readonly ModelRoute[]): ConfigFault[] {
  const indexOf = new Map(models.map(({ name }, index) => [name, index]));
  /** Most targets that a request for the name may be tried at; 0 while it is being counted. */
  const counts = new Map<string, number>();
  const faults: ConfigFault[] = [];
  const path: string[] = [];
  const count = (name: string): number => {
    const known = counts.get(name);
    if (known === 0) {
      const cycle = [...path.slice(path.indexOf(name)), name].map((one) => JSON.stringify(one)).join(' -> ');
      faults.push({ setting: 'models', path: [indexOf.get(name)!], message: `leads to itself: ${cycle}` });
    }
    if (known !== undefined) return known;
    counts.set(name, 0);
    path.push(name);
    const route = models[indexOf.get(name)!]!;
    const of = (target: ModelTarget): number => {
      const next = nextName(route, target);
      return next !== null && indexOf.has(next) ? count(next) : 1;
    };
    const total = Math.max(...route.split.map(of)) + route.fallback.map(of).reduce((sum, one) => sum + one, 0);
    path.pop();
    // At least 1, also for a name that leads only to itself: 0 means that it is being counted.
    counts.set(name, Math.max(1, total));
    return total;
  };
  for (const [index, { name }] of models.entries()) {
    const total = count(name);
    if (total <= targetsMax || faults.length > 0) continue;
    const message = `${JSON.stringify(name)} leads to ${total} targets in turn: at most ${targetsMax} are tried (targetsMax)`;
    faults.push({ setting: 'models', path: [index], message });
  }
  return faults;
}

/** The name that a target stands for, which may be that of an entry; null: a model of its pool, or the name itself. */
export function nextName({ name }: ModelRoute, { model, pool }: ModelTarget): string | null {
  return pool !== undefined || model === undefined || model === name ? null : model;
}

function targetsOf({ split, fallback, shadow }: ModelRoute): [field: string, target: ModelTarget][] {
  return [
    ...split.map((target, i): [string, ModelTarget] => [`split[${i}]`, target]),
    ...fallback.map((target, i): [string, ModelTarget] => [`fallback[${i}]`, target]),
    ...(shadow === undefined ? [] : [['shadow', shadow] as [string, ModelTarget]]),
  ];
}

/** Each value that has occurred before, with its index. Linear: a list may have thousands of workers. */
export function repeated(values: readonly string[]): (readonly [number, string])[] {
  const seen = new Set<string>();
  const again: (readonly [number, string])[] = [];
  for (const [index, value] of values.entries()) {
    if (seen.has(value)) again.push([index, value]);
    seen.add(value);
  }
  return again;
}

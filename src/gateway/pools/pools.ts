// Maps models to pools.
//
// A worker belongs to exactly one pool, so that its load is counted once, whatever model a request names: the pool that
// already serves one of its models (the first match in its list), else a new one. Workers that list the same model
// name, alias or LoRA adapter thus share a pool; a request goes only to workers that list its model. A worker whose
// settings name a pool joins that one instead, whatever it lists.
//
// A model that several pools list is served by the first of them: pools without a name, then the others in the order of
// the setting `pools`. Names that the setting `models` has lead where that says.

import type { Tokenizer } from '../../tokens/tokenizer.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { GatewayConfig } from '../config/config.ts';
import { configOfPool } from '../config/pool-entry.ts';
import type { Engine } from '../engines/engine.ts';
import type { ModelEntry } from '../engines/listed-models.ts';
import { type Candidate, ModelRoutes, type Way } from './model-routes.ts';
import { Pool } from './pool.ts';

export interface ResolvedModel {
  readonly pool: Pool;
  /** As the pool's engines list it. */
  readonly model: string;
  /** The model's name if it is a LoRA adapter, else null. */
  readonly lora: string | null;
  /** How the name that the client asked for led here; null: `models` does not have that name. */
  readonly route: TakenRoute | null;
}

export interface TakenRoute {
  /** The name that the client asked for. */
  readonly asked: string;
  readonly way: Way;
}

/** A name of `models` that leads to an engine. */
export interface RouteHere {
  readonly asked: string;
  readonly model: string;
  readonly way: Way | 'shadow';
}

type PoolsConfig = Pick<GatewayConfig, 'models' | 'pools'>;

export class Pools implements Iterable<Pool> {
  readonly #config: GatewayConfig;
  readonly #live: () => PoolsConfig;
  readonly #tokenizer: (spec: string) => Tokenizer | null;
  readonly #lateBooking: boolean;
  /** Those without a name first, then in the order of the setting `pools`. */
  #pools: Pool[] = [];
  readonly #poolOf = new Map<Engine, Pool>();
  #onLeft: (engine: Engine) => void = () => undefined;
  #routes = new ModelRoutes([]);
  #routesOf: GatewayConfig['models'] = [];

  /**
   * @param config as of the start
   * @param tokenizer by the value of the setting
   * @param live as of the last reload
   * @param lateBooking for experiments: requests count as load from their first token
   */
  constructor(
    config: GatewayConfig,
    tokenizer: (spec: string) => Tokenizer | null = () => null,
    live: () => PoolsConfig = () => config,
    lateBooking = false,
  ) {
    this.#config = config;
    this.#tokenizer = tokenizer;
    this.#live = live;
    this.#lateBooking = lateBooking;
  }

  /** The entries of `models` in force. */
  get routes(): ModelRoutes {
    const { models } = this.#live();
    if (models !== this.#routesOf) {
      this.#routesOf = models;
      this.#routes = new ModelRoutes(models);
    }
    return this.#routes;
  }

  [Symbol.iterator](): Iterator<Pool> {
    return this.#pools[Symbol.iterator]();
  }

  /** Adds an engine's workers to the pool of its models. They must not be in a pool. */
  join(engine: Engine): Pool {
    const pool = this.#poolFor(engine);
    this.#poolOf.set(engine, pool);
    for (const worker of engine.workers) worker.membership = { router: pool.router, index: pool.add(worker) };
    return pool;
  }

  /** Removes an engine's workers and their bookings from their pool. */
  leave(engine: Engine): void {
    const pool = this.#poolOf.get(engine);
    this.#poolOf.delete(engine);
    for (const worker of engine.workers) {
      if (worker.membership !== null) pool?.remove(worker.membership.index);
      // The index may be another worker's soon.
      worker.membership = null;
    }
    this.#onLeft(engine);
  }

  /** Calls back in the step in which an engine's workers and their bookings have left. Replaces the previous callback. */
  onLeft(callback: (engine: Engine) => void): void {
    this.#onLeft = callback;
  }

  /** Undefined if the engine has not joined. */
  poolOf(engine: Engine): Pool | undefined {
    return this.#poolOf.get(engine);
  }

  /**
   * @param asked the model as the client names it; null if it names none
   * @param key decides draws by weight: the same for all requests of a session
   * @throws RequestError 404 for an unknown model, 503 while no model is known or a name of `models` leads to no pool,
   * 400 if none is named and there are several pools
   */
  resolve(asked: string | null, key = ''): ResolvedModel {
    const listed = asked === null ? undefined : this.routes.find(asked);
    if (listed !== undefined) {
      // Not the client's own string here and below: a decision record would keep the text of the whole body.
      const routed = this.#resolveRoute(listed.name, listed.name, key);
      if (routed === null) throw noWorkers(`no worker serves what ${JSON.stringify(asked)} leads to`);
      return routed;
    }
    const [first] = this.#pools;
    if (first === undefined) throw noWorkers('no engine has been reached yet');
    if (asked === null && this.#pools.length > 1) {
      throw new RequestError(400, 'missing_model', 'the request must name a model', 'model');
    }
    const name = asked ?? first.firstModel;
    const pool = this.#find(name);
    const entry = pool?.model(name);
    if (pool === undefined || entry === undefined) {
      throw new RequestError(404, 'model_not_found', `the model ${JSON.stringify(name)} does not exist`, 'model');
    }
    return { pool, model: entry.id, lora: entry.parent === null ? null : entry.id, route: null };
  }

  /** Every pool and model that requests for a name of `models` may reach; those that no worker lists are left out. */
  *reachable(asked: string): Generator<ResolvedModel> {
    for (const candidate of this.routes.reachable(asked)) {
      const resolved = this.#resolveTarget(asked, candidate);
      if (resolved !== null) yield resolved;
    }
  }

  /** Where copies of a request for the name go; null: nowhere, or no worker lists it. */
  shadowOf(asked: string, key: string): ResolvedModel | null {
    const shadow = this.routes.find(asked)?.shadow;
    if (shadow === undefined) return null;
    const { model, pool } = shadow;
    if (pool === undefined && this.routes.find(model!) !== undefined) return this.#resolveRoute(asked, model!, key);
    return this.#resolveTarget(asked, { ...shadow, entry: asked, way: 'alias' });
  }

  /** The names of `models` that lead to the engine. */
  routesTo(engine: Engine): RouteHere[] {
    const pool = this.#poolOf.get(engine);
    if (pool === undefined) return [];
    const here: RouteHere[] = [];
    for (const { name } of this.routes.routes) {
      const shadow = this.shadowOf(name, '');
      for (const { pool: reached, model, route } of this.reachable(name)) {
        if (reached === pool && engine.lists(model)) here.push({ asked: name, model, way: route!.way });
      }
      if (shadow?.pool === pool && engine.lists(shadow.model)) {
        here.push({ asked: name, model: shadow.model, way: 'shadow' });
      }
    }
    return here;
  }

  /** All models that workers list, as the first worker describes them. */
  models(): Map<string, ModelEntry> {
    const models = new Map<string, ModelEntry>();
    for (const pool of this.#pools) {
      for (const worker of pool.workers) {
        for (const model of worker.engine.models) if (!models.has(model.id)) models.set(model.id, model);
      }
    }
    return models;
  }

  #poolFor({ models, spec }: Engine): Pool {
    this.#pools = this.#pools.filter((pool) => !pool.empty);
    const present =
      spec.pool === undefined
        ? models.flatMap(({ id }) => this.#pools.find((pool) => !pool.named && pool.model(id) !== undefined) ?? [])[0]
        : this.#named(spec.pool);
    if (present !== undefined) return present;
    const config = configOfPool({ ...this.#config, pools: this.#live().pools }, spec.pool);
    const named = spec.pool !== undefined;
    const pool = new Pool(spec.pool ?? models[0]!.id, config, this.#tokenizer(config.tokenizer), {
      named,
      lateBooking: this.#lateBooking,
    });
    const rank = this.#rankOf(pool);
    const after = this.#pools.findIndex((other) => this.#rankOf(other) > rank);
    this.#pools.splice(after === -1 ? this.#pools.length : after, 0, pool);
    return pool;
  }

  #rankOf({ name, named }: Pool): number {
    if (!named) return -1;
    const index = this.#live().pools.findIndex((entry) => entry.name === name);
    return index === -1 ? Number.POSITIVE_INFINITY : index;
  }

  #find(model: string): Pool | undefined {
    return this.#pools.find((pool) => pool.model(model) !== undefined);
  }

  #named(name: string): Pool | undefined {
    return this.#pools.find((pool) => pool.named && pool.name === name);
  }

  /** The first target with a worker that takes requests; if none has one, the first that some worker lists. */
  #resolveRoute(asked: string, entry: string, key: string): ResolvedModel | null {
    let first: ResolvedModel | null = null;
    for (const candidate of this.routes.candidates(entry, key)) {
      const resolved = this.#resolveTarget(asked, candidate);
      if (resolved?.pool.takes(resolved.model) === true) return resolved;
      first ??= resolved;
    }
    return first;
  }

  /** Null: no worker lists it. A pool that does not list the name of the entry serves its first model. */
  #resolveTarget(asked: string, { entry, model: given, pool: poolName, way }: Candidate): ResolvedModel | null {
    const wanted = given ?? entry;
    const pool = poolName === undefined ? this.#find(wanted) : this.#named(poolName);
    if (pool === undefined || pool.empty) return null;
    const model = given === undefined && pool.model(entry) === undefined ? pool.firstModel : wanted;
    const listed = pool.model(model);
    if (listed === undefined) return null;
    const route = { asked, way: way === 'alias' && model === asked ? 'direct' : way } as const;
    return { pool, model, lora: listed.parent === null ? null : model, route };
  }
}

export function noWorkers(reason: string): RequestError {
  return new RequestError(503, 'no_available_workers', `no worker can take the request: ${reason}`);
}

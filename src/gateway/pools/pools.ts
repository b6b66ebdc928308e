// Which pool answers for which model.
//
// A worker belongs to one pool, so that its load is kept in one place whatever model a request names: the pool that
// already serves one of its models (the first of its list that has one), else a new one. A model that several workers
// list under the same name is thus one pool, aliases and LoRA adapters included; a request for a name goes only to the
// workers that list it.

import type { Tokenizer } from '../../tokens/tokenizer.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { GatewayConfig } from '../config/config.ts';
import type { Engine } from '../engines/engine.ts';
import type { ModelEntry } from '../engines/listed-models.ts';
import { Pool } from './pool.ts';

export interface ResolvedModel {
  readonly pool: Pool;
  readonly model: string;
  /** Name of the LoRA adapter that the model is, or null. */
  readonly lora: string | null;
}

export class Pools implements Iterable<Pool> {
  readonly #config: GatewayConfig;
  readonly #tokenizer: Tokenizer | null;
  readonly #lateBooking: boolean;
  #pools: Pool[] = [];
  readonly #poolOf = new Map<Engine, Pool>();

  /** @param lateBooking for experiments: requests count from their first token on */
  constructor(config: GatewayConfig, tokenizer: Tokenizer | null = null, lateBooking = false) {
    this.#config = config;
    this.#tokenizer = tokenizer;
    this.#lateBooking = lateBooking;
  }

  [Symbol.iterator](): Iterator<Pool> {
    return this.#pools[Symbol.iterator]();
  }

  /** Puts an engine's workers, which are in no pool, into the one for its models. */
  join(engine: Engine): Pool {
    const pool = this.#poolFor(engine.models);
    this.#poolOf.set(engine, pool);
    for (const worker of engine.workers) worker.membership = { router: pool.router, index: pool.add(worker) };
    return pool;
  }

  /** Takes an engine's workers out of their pool, bookings and all. */
  leave(engine: Engine): void {
    const pool = this.#poolOf.get(engine);
    this.#poolOf.delete(engine);
    for (const { membership } of engine.workers) if (membership !== null) pool?.remove(membership.index);
  }

  /** Undefined: the engine has not joined. */
  poolOf(engine: Engine): Pool | undefined {
    return this.#poolOf.get(engine);
  }

  /**
   * @param model as the client names it; null: it names none
   * @throws RequestError 404 for an unknown model, 503 while no model is known yet
   */
  resolve(model: string | null): ResolvedModel {
    const [first] = this.#pools;
    if (first === undefined) throw noWorkers('no engine has been reached yet');
    if (model === null && this.#pools.length > 1) {
      throw new RequestError(400, 'missing_model', 'the request must name a model', 'model');
    }
    const name = model ?? first.name;
    const pool = this.#find(name);
    const entry = pool?.model(name);
    if (pool === undefined || entry === undefined) {
      throw new RequestError(404, 'model_not_found', `the model ${JSON.stringify(name)} does not exist`, 'model');
    }
    return { pool, model: name, lora: entry.parent === null ? null : name };
  }

  /** Every model that some worker lists, as the first one describes it. */
  models(): Map<string, ModelEntry> {
    const models = new Map<string, ModelEntry>();
    for (const pool of this.#pools) {
      for (const worker of pool.workers) {
        for (const model of worker.engine.models) if (!models.has(model.id)) models.set(model.id, model);
      }
    }
    return models;
  }

  #poolFor(models: readonly ModelEntry[]): Pool {
    this.#pools = this.#pools.filter((pool) => !pool.empty);
    for (const { id } of models) {
      const pool = this.#find(id);
      if (pool !== undefined) return pool;
    }
    const pool = new Pool(models[0]!.id, this.#config, this.#tokenizer, this.#lateBooking);
    this.#pools.push(pool);
    return pool;
  }

  #find(model: string): Pool | undefined {
    return this.#pools.find((pool) => pool.model(model) !== undefined);
  }
}

export function noWorkers(reason: string): RequestError {
  return new RequestError(503, 'no_available_workers', `no worker can take the request: ${reason}`);
}

// Maps models to pools.
//
// A worker belongs to exactly one pool, so that its load is counted once, whatever model a request names: the pool that
// already serves one of its models (the first match in its list), else a new one. Workers that list the same model
// name, alias or LoRA adapter thus share a pool; a request goes only to workers that list its model.

import type { Tokenizer } from '../../tokens/tokenizer.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { GatewayConfig } from '../config/config.ts';
import type { Engine } from '../engines/engine.ts';
import type { ModelEntry } from '../engines/listed-models.ts';
import { Pool } from './pool.ts';

export interface ResolvedModel {
  readonly pool: Pool;
  readonly model: string;
  /** The model's name if it is a LoRA adapter, else null. */
  readonly lora: string | null;
}

export class Pools implements Iterable<Pool> {
  readonly #config: GatewayConfig;
  readonly #tokenizer: Tokenizer | null;
  readonly #lateBooking: boolean;
  #pools: Pool[] = [];
  readonly #poolOf = new Map<Engine, Pool>();
  #onLeft: (engine: Engine) => void = () => undefined;

  /** @param lateBooking for experiments: requests count as load from their first token */
  constructor(config: GatewayConfig, tokenizer: Tokenizer | null = null, lateBooking = false) {
    this.#config = config;
    this.#tokenizer = tokenizer;
    this.#lateBooking = lateBooking;
  }

  [Symbol.iterator](): Iterator<Pool> {
    return this.#pools[Symbol.iterator]();
  }

  /** Adds an engine's workers to the pool of its models. They must not be in a pool. */
  join(engine: Engine): Pool {
    const pool = this.#poolFor(engine.models);
    this.#poolOf.set(engine, pool);
    for (const worker of engine.workers) worker.membership = { router: pool.router, index: pool.add(worker) };
    return pool;
  }

  /** Removes an engine's workers and their bookings from their pool. */
  leave(engine: Engine): void {
    const pool = this.#poolOf.get(engine);
    this.#poolOf.delete(engine);
    for (const { membership } of engine.workers) if (membership !== null) pool?.remove(membership.index);
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
   * @param model as the client names it; null if it names none
   * @throws RequestError 404 for an unknown model, 503 while no model is known, 400 if none is named and there are
   * several pools
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

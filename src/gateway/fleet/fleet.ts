// The set of engines: makes the present engines match the wanted ones by joining, draining and removing.

import type { Logger } from 'pino';
import type { EngineSpec } from '../config/engine-spec.ts';
import type { Engine } from '../engines/engine.ts';
import { until } from '../until.ts';
import type { EngineMonitor } from './engine-monitor.ts';

/** Time that a leaving engine still takes requests while its replacements get ready. */
const handoverMsMax = 10_000;

export interface FleetOptions {
  /** Creates an engine and its monitor; nothing runs yet. */
  create(spec: EngineSpec): { readonly engine: Engine; readonly monitor: EngineMonitor };
  /** Time for a removed worker to finish its answers; read at each removal. */
  drainMsMax(): number;
  readonly log: Logger;
}

interface Removal {
  readonly wasDraining: boolean;
  cancelled: boolean;
}

/** Several sources may want the same engine; it is removed when none does. Engines are identified by URL. */
export class Fleet {
  /** Always the same array. */
  readonly engines: Engine[] = [];
  readonly monitors: Map<Engine, EngineMonitor> = new Map();
  readonly #options: FleetOptions;
  readonly #wanted = new Map<string, readonly EngineSpec[]>();
  /** Added or changed by an operator; overrides the sources. */
  readonly #added = new Map<string, EngineSpec>();
  /** Removed by an operator; overrides the sources. */
  readonly #banned = new Set<string>();
  readonly #removals = new Map<Engine, Removal>();
  readonly #lives = new Set<Promise<void>>();
  #closed = false;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  find(url: string): Engine | undefined {
    return this.engines.find((engine) => engine.url === url);
  }

  /** Whether the engine is being removed. */
  leaving(engine: Engine): boolean {
    return this.#removals.has(engine);
  }

  /** Replaces the engines that this source wants. */
  want(source: string, specs: readonly EngineSpec[]): void {
    this.#wanted.set(source, specs);
    this.#reconcile();
  }

  /** Names of the sources that want engines. */
  sources(): string[] {
    return [...this.#wanted.keys()];
  }

  forget(source: string): void {
    this.#wanted.delete(source);
    this.#reconcile();
  }

  /** Adds an engine by an operator's request, or changes one: it is removed first, then added with the new settings. */
  add(spec: EngineSpec): void {
    this.#banned.delete(spec.url);
    this.#added.set(spec.url, spec);
    this.#reconcile();
  }

  /** Removes an engine by an operator's request; no source adds it again before the next start. */
  remove(url: string): void {
    this.#added.delete(url);
    this.#banned.add(url);
    this.#reconcile();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const [{ url }, monitor] of this.monitors) this.#follow(url, monitor.close());
    await Promise.all(this.#lives);
  }

  #desired(): Map<string, EngineSpec> {
    const desired = new Map<string, EngineSpec>();
    for (const specs of this.#wanted.values()) {
      for (const spec of specs) if (!desired.has(spec.url)) desired.set(spec.url, spec);
    }
    for (const [url, spec] of this.#added) desired.set(url, spec);
    for (const url of this.#banned) desired.delete(url);
    return desired;
  }

  #reconcile(): void {
    if (this.#closed) return;
    const desired = this.#desired();
    const present = [...this.engines];
    const here = new Set(present.map(({ url }) => url));
    const newcomers: Engine[] = [];
    for (const spec of desired.values()) {
      const engine = here.has(spec.url) ? null : this.#join(spec);
      if (engine !== null) newcomers.push(engine);
    }
    for (const engine of present) {
      const spec = desired.get(engine.url);
      const removal = this.#removals.get(engine);
      if (spec === undefined || !sameSpec(spec, engine.spec)) {
        if (removal === undefined) this.#follow(engine.url, this.#remove(engine, newcomers));
        else removal.cancelled = false;
      } else if (removal !== undefined) removal.cancelled = true;
    }
  }

  /** Null: the engine could not be created; it is retried when the wanted engines change. */
  #join(spec: EngineSpec): Engine | null {
    try {
      const { engine, monitor } = this.#options.create(spec);
      this.engines.push(engine);
      this.monitors.set(engine, monitor);
      this.#follow(engine.url, monitor.run());
      return engine;
    } catch (error) {
      this.#options.log.error({ engine: spec.url, err: error }, 'engine could not be added');
      return null;
    }
  }

  async #remove(engine: Engine, newcomers: readonly Engine[]): Promise<void> {
    const { log, drainMsMax } = this.#options;
    const removal: Removal = { wasDraining: engine.draining, cancelled: false };
    this.#removals.set(engine, removal);
    const stops = (): boolean => this.#closed || removal.cancelled;
    if (newcomers.length > 0) {
      await until(() => stops() || newcomers.every(({ takesRequests }) => takesRequests), handoverMsMax);
    }
    if (!stops()) {
      engine.setDraining(true);
      log.info({ engine: engine.url, requestsInFlight: engine.inFlight }, 'engine draining for removal');
      await until(() => stops() || engine.inFlight === 0, drainMsMax());
    }
    this.#removals.delete(engine);
    if (this.#closed) return;
    if (removal.cancelled) {
      engine.setDraining(removal.wasDraining);
      log.info({ engine: engine.url }, 'engine removal cancelled');
      return;
    }
    await this.#takeOut(engine);
    // The engine may be wanted again, with other settings.
    this.#reconcile();
  }

  async #takeOut(engine: Engine): Promise<void> {
    const monitor = this.monitors.get(engine)!;
    const cutRequests = engine.inFlight;
    this.engines.splice(this.engines.indexOf(engine), 1);
    this.monitors.delete(engine);
    const closed = monitor.close();
    // In the same step, so that an engine at this address can join at any time.
    monitor.leave();
    await closed;
    this.#options.log.info({ engine: engine.url, cutRequests }, 'engine removed');
  }

  /** Owns an engine's running task: logs its error, which goes no further. */
  #follow(url: string, life: Promise<void>): void {
    const owned = life
      .catch((error: unknown) =>
        this.#options.log.error({ engine: url, err: error }, 'engine task failed: internal error'),
      )
      .finally(() => this.#lives.delete(owned));
    this.#lives.add(owned);
  }
}

function sameSpec(a: EngineSpec, b: EngineSpec): boolean {
  const fields = (spec: EngineSpec): string => JSON.stringify(Object.entries(spec).sort());
  return fields(a) === fields(b);
}

// A pool: the workers that share a model, with the router and the queue of their requests.

import { createPolicy, type Policy, Router, type WorkerIndex } from '../../core/index.ts';
import type { Tokenizer } from '../../tokens/tokenizer.ts';
import type { GatewayConfig } from '../config/config.ts';
import type { PoolConfig } from '../config/pool-entry.ts';
import type { Engine, Worker } from '../engines/engine.ts';
import type { ModelEntry } from '../engines/listed-models.ts';
import { isCapacityKnown } from '../engines/worker-traits.ts';
import { ByteRatio } from '../prompts/byte-ratio.ts';
import { PartTokens } from '../prompts/part-tokens.ts';
import { PoolTokens } from '../prompts/pool-tokens.ts';
import { islOf, type LengthGuess, type PromptContent, promptBytes } from '../prompts/prompt-content.ts';
import { AdmissionDesk } from './admission-desk.ts';
import { ConversionTrust } from './conversion-trust.ts';
import { ResponseHolders } from './response-holders.ts';
import { SessionAffinity } from './session-affinity.ts';

export interface PoolOptions {
  readonly named?: boolean;
  /** For experiments: requests count as load from their first token. */
  readonly lateBooking?: boolean;
}

export class Pool {
  /** From the settings, or the first model it served. */
  readonly name: string;
  /** Its workers' settings name it; else they share a model. */
  readonly named: boolean;
  readonly router: Router;
  readonly desk: AdmissionDesk;
  readonly sessions: SessionAffinity;
  readonly tokens: PoolTokens;
  readonly byteRatio: ByteRatio = new ByteRatio();
  readonly partTokens: PartTokens = new PartTokens();
  readonly conversions: ConversionTrust = new ConversionTrust();
  readonly responses: ResponseHolders = new ResponseHolders();
  readonly #runningRequestsMax: number | undefined;
  readonly #workers = new Map<WorkerIndex, Worker>();
  #workerIds: ReadonlyMap<WorkerIndex, string> | null = null;
  /** Per model, the workers that do not list it. */
  readonly #excluded = new Map<string, ReadonlySet<WorkerIndex>>();

  /**
   * @param config as this pool has it
   * @param tokenizer null if engines do the tokenizing, or bytes stand in for tokens, as configured
   */
  constructor(
    name: string,
    config: PoolConfig<GatewayConfig>,
    tokenizer: Tokenizer | null = null,
    { named = false, lateBooking = false }: PoolOptions = {},
  ) {
    this.name = name;
    this.named = named;
    this.#runningRequestsMax = config.runningRequestsMax;
    this.router = new Router({
      policy: policyOf(config),
      seed: config.seed,
      inFlightCredit: config.inFlightCredit,
      bookAt: lateBooking ? 'first-token' : 'choice',
      ...(config.lateBinding && { lateBinding: {} }),
      onRoomChange: () => this.desk.roomChanged(),
    });
    this.desk = new AdmissionDesk(this.router, config);
    this.sessions = new SessionAffinity({ creditTokens: config.sessionCreditTokens });
    this.tokens = new PoolTokens(config, tokenizer, () => this.#engines());
  }

  get workers(): Iterable<Worker> {
    return this.#workers.values();
  }

  /** Used to guess the length of prompts whose tokens are not all known. */
  get lengthGuess(): LengthGuess {
    return { bytesPerToken: this.byteRatio.bytesPerToken, tokensPerPart: this.partTokens.tokensPerPart };
  }

  /** Learns from the usage that an engine reported. @param promptTokens total of all prompts */
  learnLengths(contents: readonly PromptContent[], promptTokens: number): void {
    const bytes = promptBytes(contents);
    if (bytes !== null) this.byteRatio.observe(bytes, promptTokens);
    const [content] = contents;
    if (contents.length !== 1 || content?.kind !== 'beginning' || content.otherParts === 0) return;
    const { otherParts } = content;
    this.partTokens.observe(otherParts, promptTokens - islOf({ ...content, otherParts: 0 }, this.lengthGuess));
  }

  /** Names for decision records: a snapshot, shared until the members change. */
  get workerIds(): ReadonlyMap<WorkerIndex, string> {
    this.#workerIds ??= new Map([...this.#workers].map(([index, { id }]) => [index, id]));
    return this.#workerIds;
  }

  get empty(): boolean {
    return this.#workers.size === 0;
  }

  worker(index: WorkerIndex): Worker {
    const worker = this.#workers.get(index);
    if (worker === undefined) throw new Error(`pool ${this.name} has no worker ${index}`);
    return worker;
  }

  /** @param id the worker's own id or its client id */
  find(id: string): Worker | undefined {
    for (const worker of this.#workers.values()) if (isOf(worker, id)) return worker;
    return undefined;
  }

  /** The workers to exclude for a request that is pinned to this one. */
  allBut(id: string): ReadonlySet<WorkerIndex> {
    return new Set([...this.#workers].flatMap(([index, worker]) => (isOf(worker, id) ? [] : [index])));
  }

  /** The model as the first worker that lists it describes it. */
  model(id: string): ModelEntry | undefined {
    for (const { engine } of this.#workers.values()) {
      const entry = engine.model(id);
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  /** The first model of its first worker. */
  get firstModel(): string {
    for (const { engine } of this.#workers.values()) return engine.models[0]?.id ?? this.name;
    return this.name;
  }

  /** Whether a worker that lists the model takes new requests. O(workers), and O(1) if the first one does. */
  takes(model: string): boolean {
    for (const { engine } of this.#workers.values()) if (engine.takesRequests && engine.lists(model)) return true;
    return false;
  }

  /** The model's context length, from the same worker; null if it does not say. */
  contextTokens(id: string): number | null {
    const tokens = this.model(id)?.description.max_model_len;
    return Number.isSafeInteger(tokens) && (tokens as number) > 0 ? (tokens as number) : null;
  }

  /** The workers that do not list the model; shared, so do not modify it. */
  excludedFor(model: string): ReadonlySet<WorkerIndex> {
    const known = this.#excluded.get(model);
    if (known !== undefined) return known;
    const excluded = new Set<WorkerIndex>();
    for (const [index, worker] of this.#workers) if (!worker.engine.lists(model)) excluded.add(index);
    // Only models that some worker lists are cached, so that clients can't fill the map.
    if (excluded.size < this.#workers.size) this.#excluded.set(model, excluded);
    return excluded;
  }

  add(worker: Worker): WorkerIndex {
    const { blockSize, pageSize, capacityBlocks, source } = worker.traits;
    const { runningRequestsMax = this.#runningRequestsMax } = worker.engine.spec;
    const index = this.router.addWorker({
      id: worker.id,
      blockSize,
      pageSize,
      capacityBlocks,
      capacityKnown: isCapacityKnown(worker.traits),
      source,
      ...(runningRequestsMax !== undefined && { runningRequestsMax }),
    });
    try {
      this.router.setRoutable(index, false);
      this.#workers.set(index, worker);
      this.membersChanged();
    } catch (error) {
      // The router must never choose a worker that the pool does not know.
      this.#workers.delete(index);
      this.router.removeWorker(index);
      throw error;
    }
    return index;
  }

  remove(index: WorkerIndex): void {
    this.router.removeWorker(index);
    this.sessions.workerGone(this.worker(index));
    this.responses.workerGone(this.worker(index));
    this.#workers.delete(index);
    this.membersChanged();
  }

  /** To be called when an engine's list of models has changed. */
  membersChanged(): void {
    this.#workerIds = null;
    this.#excluded.clear();
  }

  /** An engine with several workers comes several times. */
  *#engines(): Generator<Engine> {
    for (const { engine } of this.#workers.values()) yield engine;
  }
}

function policyOf({ policy, overlapWeight, temperature }: GatewayConfig): Policy {
  return policy === 'kv' ? createPolicy(policy, { overlapWeight, temperature }) : createPolicy(policy);
}

function isOf(worker: Worker, id: string): boolean {
  return worker.id === id || worker.clientId === id;
}

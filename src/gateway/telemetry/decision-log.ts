// Keeps the latest routing decisions and their outcomes: the answer to "why this worker?".

import type { CandidateCost, Decision, FirstToken, Outcome } from '../../core/index.ts';
import type { Usage } from '../../wire/completion-chunk.ts';
import type { PromptAccount } from '../engines/prompt-account.ts';
import type { AttemptRecord } from '../exchange/attempt-record.ts';
import type { AttemptTrace } from '../exchange/request-trace.ts';
import type { WorkerTrust } from '../feeds/worker-trust.ts';
import type { TakenRoute } from '../pools/pools.ts';
import type { PromptContent } from '../prompts/prompt-content.ts';

/** Told of each decision in the same synchronous step. Must not throw. */
export interface DecisionObserver {
  routed(record: DecisionRecord): void;
  /** `ttftMs` and `hindsight` are set. */
  firstToken(record: DecisionRecord): void;
  /** Everything is set. Called once for each record. */
  ended(record: DecisionRecord): void;
}

/** One routed attempt; a retried request has one record per attempt. */
export class DecisionRecord implements AttemptRecord {
  /** Counts the gateway's decisions from 1; 0 before it is in the log. */
  seq = 0;
  readonly requestId: string;
  /** Unix time. */
  readonly timeMs: number;
  /** As the engine lists it. */
  readonly model: string;
  /** Name of its pool. */
  readonly pool: string;
  /** How the name that the client asked for led there; null: `models` does not have it. */
  readonly route: TakenRoute | null;
  readonly worker: string;
  /** Worker name shown to the client. */
  readonly workerClientId: string;
  readonly attempt: number;
  readonly decision: Decision;
  /** How much was known of its prompts; the least of several. */
  readonly known: PromptContent['kind'];
  /** Trust in the chosen worker at the time of the choice. */
  readonly trust: WorkerTrust;
  /** Tokens that the client had of the answer when this attempt went on with it; null: it began the answer. */
  readonly continuedTokens: number | null;
  /** What the client asked for; null: nothing. */
  readonly slo: { readonly ttftMs?: number; readonly tpotMs?: number } | null;
  /** Ids of the candidates by index, as of the decision. */
  readonly workerIds: ReadonlyMap<number, string>;
  /** It is of a copy of the request, whose answer nobody gets. */
  readonly shadow: boolean;
  #observer: DecisionObserver | null = null;
  /** Told of what happens; null: the attempt is not traced. */
  trace: AttemptTrace | null = null;
  #hasEnded = false;
  /** Null while in flight. */
  outcome: Outcome | null = null;
  status: number | null = null;
  error: string | null = null;
  /** From the arrival of the request. */
  ttftMs: number | null = null;
  /** The decision evaluated at its first token; null before, or if nothing was predicted. */
  hindsight: FirstToken | null = null;
  durationMs: number | null = null;
  outputTokens: number | null = null;
  usage: Usage | null = null;
  /** Null if the engine has not reported enough. */
  account: PromptAccount | null = null;

  constructor(
    fields: Pick<
      DecisionRecord,
      | 'requestId'
      | 'timeMs'
      | 'model'
      | 'pool'
      | 'route'
      | 'worker'
      | 'workerClientId'
      | 'attempt'
      | 'decision'
      | 'known'
      | 'trust'
      | 'slo'
    > &
      Partial<Pick<DecisionRecord, 'continuedTokens'>>,
    workerIds: ReadonlyMap<number, string>,
    shadow = false,
  ) {
    this.requestId = fields.requestId;
    this.timeMs = fields.timeMs;
    this.model = fields.model;
    this.pool = fields.pool;
    this.route = fields.route;
    this.worker = fields.worker;
    this.workerClientId = fields.workerClientId;
    this.attempt = fields.attempt;
    this.decision = fields.decision;
    this.known = fields.known;
    this.trust = fields.trust;
    this.slo = fields.slo;
    this.continuedTokens = fields.continuedTokens ?? null;
    this.workerIds = workerIds;
    this.shadow = shadow;
  }

  /** Records that a fault of the gateway ended the attempt. */
  broken(error: unknown): void {
    this.outcome ??= 'failed';
    this.error ??= error instanceof Error ? error.message : String(error);
    this.end();
  }

  /** Puts the record into the log's numbering. */
  number(seq: number, observer: DecisionObserver | null): void {
    this.seq = seq;
    this.#observer = observer;
    observer?.routed(this);
  }

  /** @param ttftMs from the arrival of the request */
  firstToken(ttftMs: number, hindsight: FirstToken | null): void {
    this.ttftMs = ttftMs;
    this.hindsight = hindsight;
    this.#observer?.firstToken(this);
    this.trace?.firstToken();
  }

  /** The attempt is over and all fields are set. Further calls do nothing. */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#observer?.ended(this);
    this.trace?.ended();
  }

  /** The form in `GET /decisions`. */
  toJSON(): object {
    const { decision, usage, hindsight } = this;
    const best = hindsight?.bestWorker ?? null;
    return {
      requestId: this.requestId,
      timeMs: this.timeMs,
      model: this.model,
      pool: this.pool,
      asked: this.route?.asked ?? this.model,
      way: this.route?.way ?? 'direct',
      shadow: this.shadow,
      worker: this.worker,
      workerClientId: this.workerClientId,
      attempt: this.attempt,
      continuedTokens: this.continuedTokens,
      policy: decision.policy,
      reason: decision.reason,
      trust: this.trust,
      known: this.known,
      slo: this.slo,
      isl: decision.isl,
      overlapBlocks: decision.overlapBlocks,
      overlapTokens: decision.overlapTokens,
      uncachedTokens: decision.uncachedTokens,
      predictedTtftMs: decision.predictedTtftMs,
      predictedTpotMs: decision.predictedTpotMs,
      keptWorkers: decision.keptWorkers,
      choiceToFirstTokenMs: hindsight?.ttftMs ?? null,
      regretMs: hindsight?.regretMs ?? null,
      bestWorker: best === null ? null : (this.workerIds.get(best) ?? null),
      actualPromptTokens: usage?.promptTokens ?? null,
      actualCachedTokens: usage?.cachedTokens ?? null,
      account: this.account,
      outputTokens: this.outputTokens,
      outcome: this.outcome,
      status: this.status,
      error: this.error,
      ttftMs: this.ttftMs,
      durationMs: this.durationMs,
      candidates: decision.candidates().map((candidate) => this.#named(candidate)),
    };
  }

  #named({ worker, ...terms }: CandidateCost): object {
    return { worker: this.workerIds.get(worker) ?? null, ...terms };
  }
}

/** A ring of the last `max` records. */
export class DecisionLog {
  readonly max: number;
  readonly #observer: DecisionObserver | null;
  readonly #ring: DecisionRecord[] = [];
  #next = 0;
  #added = 0;

  constructor(max: number, observer: DecisionObserver | null = null) {
    this.max = max;
    this.#observer = observer;
  }

  /** Records that it keeps now. */
  get size(): number {
    return this.#ring.length;
  }

  add(record: DecisionRecord): void {
    this.#added += 1;
    // Observers show what clients see.
    record.number(this.#added, record.shadow ? null : this.#observer);
    if (this.max === 0) return;
    this.#ring[this.#next] = record;
    this.#next = (this.#next + 1) % this.max;
  }

  /** Newest first. */
  records(): DecisionRecord[] {
    return [...this.#ring.slice(0, this.#next).reverse(), ...this.#ring.slice(this.#next).reverse()];
  }

  /** All attempts of the request, newest first; clients may reuse an id. */
  ofRequest(requestId: string): DecisionRecord[] {
    return this.records().filter((record) => record.requestId === requestId);
  }
}

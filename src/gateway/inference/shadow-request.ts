// Copies a share of the requests for a name to another pool: the copy's answer is dropped, and its figures are compared
// with those of the real request.
//
// A copy is made after the real request has been placed. It never waits for the real one, nor the real one for it: where
// there is no place or no worker for a copy, there is none.

import { TokenizerTurn } from '../../tokens/tokenizer-turn.ts';
import type { Span, SpanEdit } from '../../wire/json-members.ts';
import type { Exchange, Requester } from '../exchange/exchange.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import { renamedJson } from '../exchange/renamed-body.ts';
import type { QueueObserver } from '../pools/admission-desk.ts';
import { BookingLease } from '../pools/booking-lease.ts';
import type { ResolvedModel } from '../pools/pools.ts';
import { drawOf } from '../pools/sticky-draw.ts';
import { leastKnown, type PromptContent } from '../prompts/prompt-content.ts';
import type { PromptInput } from '../prompts/prompt-input.ts';
import { readContents } from '../prompts/prompt-tokens.ts';
import { DecisionRecord } from '../telemetry/decision-log.ts';
import type { RealFigures, ShadowOutcome } from '../telemetry/shadow-metrics.ts';
import { applicantOf, hashing, type Placeable } from './admission-applicant.ts';
import type { Placed } from './admission-placing.ts';
import { addressOf, upstreamHeaders } from './attempts.ts';
import { wholeBody } from './body-edits.ts';
import { priorityMax } from './client-rights.ts';
import type { InferenceContext } from './inference-context.ts';
import { InferenceWatch } from './inference-watch.ts';
import { drawKey } from './over-routes.ts';
import type { InferenceRequest } from './request-intake.ts';
import { ShadowBook } from './shadow-book.ts';
import { ShadowCall } from './shadow-call.ts';
import type { ShadowSlot } from './shadow-slots.ts';

/** A request that is being answered. */
export interface Copied extends Placeable {
  readonly request: Omit<InferenceRequest, 'prompts'>;
  readonly contents: readonly PromptContent[];
  /** As the client's request, with any name of the model. */
  readonly body: Buffer;
  readonly edit: SpanEdit | null;
  /** Where the body names the model; null: nowhere; absent: not looked for. */
  readonly modelAt?: Span | null | undefined;
  readonly choices: number;
}

/** The body itself, and the tokens and hashes that are made of it. */
const bytesPerBodyByte = 2;

/** The queue's metrics are those of real requests. */
const nobody: QueueObserver = { full: () => undefined, left: () => undefined };

/**
 * To be called when the real request is about to be placed.
 * @returns null: no copy is made
 */
export function shadowOf(
  context: InferenceContext,
  exchange: Exchange,
  real: Copied,
  prompts: readonly PromptInput[],
): ShadowRequest | null {
  const { pools, shadows, metrics } = context;
  const { route, request, body, overrides } = real;
  const share = route === null ? undefined : pools.routes.find(route.asked)?.shadow?.share;
  if (route === null || share === undefined || shadows.closed) return null;
  const { asked } = route;
  const key = drawKey(overrides, exchange.id);
  if (share < 1 && drawOf(key, `shadow\n${asked}`) >= share) return null;
  const target = pools.shadowOf(asked, key);
  // A tool may act, and a continued response is held by one engine only.
  const isOnlyOnce = request.usesTools || request.previousResponse !== null;
  if (target === null || isOnlyOnce || !target.pool.takes(target.model) || target.pool.desk.waiting > 0) {
    metrics.shadows.ended(asked, target?.pool.name ?? '', 'unplaced');
    return null;
  }
  const slot = shadows.take(bytesPerBodyByte * body.length);
  if (typeof slot === 'string') {
    metrics.limited.inc({ limit: slot });
    metrics.shadows.ended(asked, target.pool.name, 'dropped');
    return null;
  }
  const shadow = new ShadowRequest(context, exchange, { real, prompts, target, slot });
  void shadow.run();
  return shadow;
}

interface ShadowParts {
  readonly real: Copied;
  readonly prompts: readonly PromptInput[];
  readonly target: ResolvedModel;
  readonly slot: ShadowSlot;
}

export class ShadowRequest implements Requester {
  readonly id: string;
  readonly startedMs: number = performance.now();
  record: DecisionRecord | null = null;
  readonly trace = null;
  /** A copy counts against no limit of its client. */
  readonly use = null;
  readonly #context: InferenceContext;
  readonly #exchange: Exchange;
  readonly #real: Copied;
  /** Null: their tokens are those of the real request, or are known by now. */
  #prompts: readonly PromptInput[] | null;
  readonly #target: ResolvedModel;
  readonly #slot: ShadowSlot;
  #gone = false;
  #onGone: (() => void) | null = null;
  #figures: RealFigures | null = null;
  #outcome: ShadowOutcome | null = null;

  constructor(context: InferenceContext, exchange: Exchange, { real, prompts, target, slot }: ShadowParts) {
    this.#context = context;
    this.#exchange = exchange;
    this.#real = real;
    this.#prompts = target.pool.tokens.agreesWith(real.pool.tokens) ? null : prompts;
    this.#target = target;
    this.#slot = slot;
    this.id = `${exchange.id}-shadow`;
    slot.onEnd = () => this.#leave();
  }

  get gone(): boolean {
    return this.#gone;
  }

  whenGone(callback: () => void): void {
    if (this.#gone) callback();
    else this.#onGone = callback;
  }

  /** The real request has ended. Without its client there is nothing to compare with. */
  realEnded(status: number): void {
    const { record, gone } = this.#exchange;
    if (gone || record === null) {
      this.#leave();
      return;
    }
    const { ttftMs, usage, outputTokens } = record;
    const durationMs = performance.now() - this.#exchange.startedMs;
    this.#figures = { status, ttftMs, durationMs, usage, outputTokens };
    this.#compare();
  }

  /** Settles when the copy has ended and its bookings are released; never rejects. */
  async run(): Promise<void> {
    const { metrics, log, config } = this.#context;
    const timer = setTimeout(() => this.#leave(), config.totalMsMax);
    try {
      // After the real request's own step.
      await new Promise((resolve) => setImmediate(resolve));
      this.#outcome = this.#gone ? 'aborted' : await this.#answer();
    } catch (error) {
      // A queue that is full or was waited in too long is an answer, too.
      this.#outcome = this.#gone ? 'aborted' : 'unplaced';
      log.debug({ requestId: this.#exchange.id, err: error }, 'shadow failed');
    } finally {
      clearTimeout(timer);
      this.#slot.release();
    }
    metrics.shadows.ended(this.#asked, this.#target.pool.name, this.#outcome);
    this.#compare();
  }

  get #asked(): string {
    return this.#target.route!.asked;
  }

  async #answer(): Promise<ShadowOutcome> {
    const contents = await this.#contents();
    if (this.#gone) return 'aborted';
    const { hasher } = this.#context;
    const { request, overrides } = this.#real;
    const intake: Placeable = {
      request,
      known: leastKnown(contents),
      // Real requests go first.
      overrides: { ...overrides, priority: priorityMax, pin: null },
      hashed: hashing(this.#target, request, contents, hasher),
      ...this.#target,
    };
    const { pool } = this.#target;
    const applicant = applicantOf(intake, new Set());
    const placing = pool.desk.place(applicant, this, nobody, (routed): Placed => {
      const worker = pool.worker(routed.decision.worker);
      pool.sessions.placed(overrides.session, worker, performance.now());
      return { routed, worker, lease: new BookingLease(pool.router, routed, request.sequences, worker.engine) };
    });
    const placed = placing instanceof Promise ? await placing : placing;
    if (placed === null) return this.#gone ? 'aborted' : 'unplaced';
    try {
      return await this.#send(intake, placed);
    } finally {
      // A normal end has released the booking already; this covers faults of the gateway.
      placed.lease.release('failed', performance.now());
    }
  }

  /** The real request's, if they are the same here. */
  #contents(): readonly PromptContent[] | Promise<readonly PromptContent[]> {
    const prompts = this.#prompts;
    if (prompts === null) return this.#real.contents;
    this.#prompts = null;
    const turn = new TokenizerTurn();
    this.whenGone(() => turn.end());
    const { pool, model } = this.#target;
    return readContents(prompts, pool.tokens.forModel(model), () => undefined, turn);
  }

  async #send(intake: Placeable, placed: Placed): Promise<ShadowOutcome> {
    const { shadows, decisions, monitors } = this.#context;
    const { worker, lease, routed } = placed;
    const { engine } = worker;
    const { request, choices } = this.#real;
    const record = new DecisionRecord(
      {
        ...{ requestId: this.#exchange.id, timeMs: Date.now(), model: intake.model, pool: intake.pool.name },
        ...{ route: intake.route, worker: worker.id, workerClientId: worker.clientId, attempt: 1 },
        ...{ decision: routed.decision, known: intake.known, slo: null, trust: worker.trust(performance.now()) },
      },
      intake.pool.workerIds,
      true,
    );
    this.record = record;
    decisions.add(record);
    const memory = shadows.answerBudget.lease();
    const report = new ShadowBook(lease, record, engine, this.startedMs);
    const onToken = engine.calls.token.bind(engine.calls);
    const watch = new InferenceWatch({ report, memory, choices, api: request.api, onToken });
    const call = new ShadowCall(engine, watch, request.stream ? 'stream' : 'whole');
    const headers = upstreamHeaders(this.#exchange, addressOf(worker), null);
    const at = headers.lastIndexOf('x-request-id');
    headers.splice(at, 2, 'x-request-id', this.id, 'x-kvoyant-shadow', 'true');
    this.whenGone(() => call.end());
    try {
      const outcome = await call.run({
        method: 'POST',
        path: this.#exchange.path + this.#exchange.query,
        headers,
        body: renamedJson(wholeBody(this.#real), this.#real.model, intake.model, this.#real.modelAt),
      });
      const isItsFault = outcome.kind === 'unanswered' && !(outcome.error instanceof LimitReached);
      if (isItsFault && outcome.failure === 'unreachable') {
        monitors.get(engine)?.suspect(outcome.error.message, false);
      }
      return record.outcome ?? 'failed';
    } catch (error) {
      record.broken(error);
      this.#context.log.error({ requestId: this.#exchange.id, err: error }, 'shadow failed by a fault of the gateway');
      return 'failed';
    } finally {
      memory.release();
    }
  }

  /** Counts the pair, once both have ended. */
  #compare(): void {
    const { record } = this;
    if (this.#figures === null || record === null || (this.#outcome !== 'done' && this.#outcome !== 'failed')) return;
    this.#context.metrics.shadows.compared(this.#asked, this.#target.pool.name, this.#figures, record);
    this.#figures = null;
  }

  #leave(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#onGone?.();
  }
}

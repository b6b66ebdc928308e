// Books what an attempt reports: tokens feed the ledger, the end releases the bookings and completes the record.

import type { Logger } from 'pino';
import type { WorkerIndex } from '../../core/index.ts';
import type { Usage } from '../../wire/completion-chunk.ts';
import type { Engine, Worker } from '../engines/engine.ts';
import { accountOf, type WorkerAccount } from '../engines/prompt-account.ts';
import type { PromptCheck } from '../engines/traffic-findings.ts';
import type { Requester } from '../exchange/exchange.ts';
import type { BookingLease } from '../pools/booking-lease.ts';
import { hasFaster } from '../pools/faster-worker.ts';
import { hasUntried } from '../pools/second-choices.ts';
import type { DecisionRecord } from '../telemetry/decision-log.ts';
import type { GatewayMetrics } from '../telemetry/gateway-metrics.ts';
import type { UsageEntry } from '../telemetry/usage-entry.ts';
import type { Placeable } from './admission-applicant.ts';
import { attemptsMax } from './attempt-failure.ts';
import { type AttemptFailure, faultOf } from './attempt-outcome.ts';
import type { AttemptEnd, AttemptReport, Unobserved } from './attempt-report.ts';
import { type Attempt, recordOf } from './attempts.ts';
import type { InferenceContext } from './inference-context.ts';

export interface AttemptBookOptions {
  readonly lease: BookingLease;
  readonly record: DecisionRecord;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
  /** Prompts times sequences. */
  readonly choices: number;
  /** Arrival of the request. */
  readonly startedMs: number;
  /** Null if the request is not traced, or not sampled. */
  readonly traceId: string | null;
  /** The engine that answers. */
  readonly engine: Engine;
  /** Account of the worker that answers. */
  readonly account: WorkerAccount;
  mayMove(silenceMs: number): boolean;
  mayGiveUp(failure: AttemptFailure): boolean;
  onFirstToken(): void;
  /** Called at the end of an attempt that has used something. */
  onSpent(spent: Spent): void;
  /** Called with the usage that the engine reports at the end. */
  onUsage(usage: Usage): void;
  /** Called with the id under which the engine keeps the response. */
  onResponse(id: string, usage: Usage | null): void;
  /** Null: the prompt is the client's own, not converted by the gateway. */
  readonly conversion: Conversion | null;
  /** The beginning of the answer is counted already, with its prompt. */
  readonly continues: boolean;
}

/** The conversion of a request into a chat. */
export interface Conversion {
  /** @param matches the engine counted as many tokens */
  counted(matches: boolean): void;
}

/** What an attempt has used. */
type Spent = Pick<UsageEntry, 'promptTokens' | 'cachedTokens' | 'outputTokens' | 'source' | 'outcome'>;

/** What the book of an attempt needs of its request. */
export interface Booked extends Placeable {
  /** Prompts times sequences. */
  readonly choices: number;
  /** Learns from the usage that the engine reports. */
  learn(usage: Usage): void;
  readonly conversion?: Conversion | null;
  /** The tokens are those that a caller reports, who sends the request itself. */
  readonly isReported?: boolean;
  /** The worker keeps a response. */
  keeps?(id: string, worker: Worker, usage: Usage | null): void;
}

/** Adds the attempt to the log of decisions and opens its book. */
export function bookOf(context: InferenceContext, requester: Requester, booked: Booked, attempt: Attempt): AttemptBook {
  const { placed, tried, number } = attempt;
  const { routed, worker, lease } = placed;
  const { metrics, log, retryBudget } = context;
  const { pool, model, overrides, choices } = booked;
  const { engine, account } = worker;
  const excluded = (): ReadonlySet<WorkerIndex> => new Set([...pool.excludedFor(model), ...tried]);
  const free = number < attemptsMax && overrides.pin === null;
  const repeatable = free && booked.actsOnce !== true;
  const record = recordOf(context, requester, booked, attempt);
  // An engine that broke off without a token is not charged.
  const counted = (booked.continues?.tokens ?? 0) > 0;
  return new AttemptBook({
    lease,
    record,
    metrics,
    log,
    choices,
    engine,
    account,
    startedMs: booked.continues?.sinceMs ?? requester.startedMs,
    traceId: requester.trace?.traceId ?? null,
    mayMove: (silenceMs) =>
      repeatable &&
      hasFaster(pool, excluded(), worker, routed.decision.isl, silenceMs) &&
      retryBudget.take(performance.now()),
    // A refusal by a full engine is cheap, so it may always be retried. A failure may be the request's own fault, so
    // those retries have a budget.
    mayGiveUp: (failure) =>
      free &&
      hasUntried(pool, excluded()) &&
      (failure === 'full' || failure === 'absent' || (repeatable && retryBudget.take(performance.now()))),
    onFirstToken: () => engine.health.begun(),
    onSpent: (spent) => {
      const told = booked.isReported === true ? ({ ...spent, source: 'caller' } as const) : spent;
      charge(context, requester, model, told, counted ? 0 : 1);
    },
    onUsage: (usage) => booked.learn(usage),
    onResponse: (id, usage) => booked.keeps?.(id, worker, usage),
    conversion: booked.conversion ?? null,
    continues: counted,
  });
}

/** Counts it for the client's limits and its bill. */
export function charge(
  { usage }: Pick<InferenceContext, 'usage'>,
  { id: requestId, use }: Pick<Requester, 'id' | 'use'>,
  model: string,
  spent: Spent,
  requests = 1,
): void {
  if (use === null) return;
  const { promptTokens, cachedTokens, outputTokens, source, outcome } = spent;
  const { tenant, key } = use;
  use.used({ prompt: promptTokens, cached: cachedTokens, output: outputTokens });
  usage.add({ tenant, key, model, requestId, requests, promptTokens, cachedTokens, outputTokens, source, outcome });
}

export class AttemptBook implements AttemptReport {
  readonly #options: AttemptBookOptions;
  #lastTokenMs = 0;

  constructor(options: AttemptBookOptions) {
    this.#options = options;
  }

  mayMove(silenceMs: number): boolean {
    return this.#options.mayMove(silenceMs);
  }

  mayGiveUp(failure: AttemptFailure): boolean {
    return this.#options.mayGiveUp(failure);
  }

  tokens(choice: number, count: number, nowMs: number): void {
    const { lease, record, metrics, startedMs, traceId } = this.#options;
    lease.tokens(choice, count, nowMs);
    if (record.ttftMs === null) {
      record.firstToken(nowMs - startedMs, lease.hindsight);
      if (!this.#options.continues) metrics.ttftS.record((nowMs - startedMs) / 1000, 1, traceId);
      this.#options.onFirstToken();
    } else if (this.#options.choices === 1 && count > 0) {
      metrics.itlS.record((nowMs - this.#lastTokenMs) / 1000 / count, count);
    }
    this.#lastTokenMs = nowMs;
  }

  totalTokens(count: number): void {
    this.#options.lease.totalTokens(count);
  }

  unobserved(why: Unobserved): void {
    const { metrics, log, engine, record } = this.#options;
    const line = { engine: engine.url, requestId: record.requestId };
    if (why.kind === 'compressed') {
      metrics.unobservedStreams.inc();
      log.debug(line, 'the engine compresses its stream: tokens are not counted');
      return;
    }
    metrics.limited.inc({ limit: why.limit });
    log.warn(line, `${why.kind === 'cut' ? 'stream broken off' : "an answer's usage is not read"}: ${why.message}`);
  }

  settled(end: AttemptEnd): void {
    const { lease, record, metrics, onUsage, onResponse, startedMs } = this.#options;
    const { outcome, status } = end;
    const nowMs = performance.now();
    const error = faultOf(outcome) ?? (outcome.kind === 'answered' ? end.streamError : null);
    record.outcome = outcome.kind === 'gone' ? 'aborted' : error === null ? 'done' : 'failed';
    lease.release(record.outcome, nowMs);
    const usage = this.#usage(end);
    record.status = status === 0 ? null : status;
    record.error = error;
    record.durationMs = nowMs - startedMs;
    record.outputTokens = end.outputTokens ?? usage?.completionTokens ?? null;
    record.usage = usage;
    if (record.outputTokens !== null) metrics.outputTokens.inc(record.outputTokens);
    if (usage !== null) {
      metrics.promptTokens.inc(usage.promptTokens);
      if (usage.cachedTokens !== null) {
        metrics.predictedCachedTokens.inc(record.decision.overlapTokens);
        metrics.actualCachedTokens.inc(usage.cachedTokens);
      }
      // Text that is tokenized again may have other tokens.
      if (record.outcome === 'done' && status === 200 && !this.#options.continues) this.#check(usage);
      onUsage(usage);
    }
    if (end.responseId !== null && record.outcome === 'done' && status === 200) onResponse(end.responseId, usage);
    this.#spend(end, usage);
    record.end();
  }

  /** An attempt without a token for the client, and without a word of the engine, costs nothing. */
  #spend({ outcome, status, outputTokens }: AttemptEnd, usage: Usage | null): void {
    const isAnswer = (outputTokens ?? 0) > 0 || (outcome.kind === 'answered' && status === 200);
    if (usage === null && !isAnswer) return;
    const { record, continues } = this.#options;
    this.#options.onSpent({
      promptTokens: continues ? 0 : (usage?.promptTokens ?? record.decision.isl),
      cachedTokens: continues ? 0 : (usage?.cachedTokens ?? null),
      outputTokens: usage?.completionTokens ?? outputTokens ?? 0,
      source: usage === null ? 'gateway' : 'engine',
      outcome: record.outcome!,
    });
  }

  /**
   * Compares the predicted with the actual tokens. With several choices engines report the cached tokens of only one.
   */
  #check({ promptTokens, cachedTokens }: Usage): void {
    const { record, account, metrics, choices, conversion } = this.#options;
    if (record.known !== 'tokens' || choices !== 1) return;
    const matches = promptTokens === record.decision.isl;
    conversion?.counted(matches);
    if (!matches) {
      if (conversion !== null) return;
      account.tokenMismatches += 1;
      this.#note('miscounted');
      return;
    }
    if (cachedTokens === null) return;
    record.account = accountOf(record.decision, cachedTokens);
    const errorTokens = account.add(record.account);
    metrics.overlapErrorTokens.record(errorTokens);
    this.#note(errorTokens > 0 ? 'mispredicted' : 'as-predicted');
  }

  #note(check: PromptCheck): void {
    const { account, engine, log, record } = this.#options;
    const finding = account.findings.note(check, performance.now());
    if (finding === null) return;
    log.warn({ engine: engine.url, requestId: record.requestId, cause: finding.cause }, finding.message);
  }

  #usage({ usage, outcome, status }: AttemptEnd): Usage | null {
    if (usage === 'absent') return null;
    if (usage === 'malformed') {
      this.#malformedUsage();
      return null;
    }
    return outcome.kind === 'answered' && status === 200 ? this.#options.engine.complete(usage) : usage;
  }

  #malformedUsage(): void {
    const { engine, metrics, log, record } = this.#options;
    metrics.malformedUsages.inc();
    const line = { engine: engine.url, requestId: record.requestId };
    log[engine.toldMalformedUsage ? 'debug' : 'warn'](line, 'the engine reported an impossible usage; it is ignored');
    engine.toldMalformedUsage = true;
  }
}

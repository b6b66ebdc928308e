// Watches one attempt of an inference request: its tokens feed the ledger, its end releases the bookings.

import type { Logger } from 'pino';
import { ByteCollector } from '../../wire/byte-collector.ts';
import { readBodyUsage, type Usage, type UsageReading } from '../../wire/completion-chunk.ts';
import type { Engine } from '../engines/engine.ts';
import type { Call } from '../engines/engine-calls.ts';
import { accountOf, type WorkerAccount } from '../engines/prompt-account.ts';
import type { PromptCheck } from '../engines/traffic-findings.ts';
import type { AnswerLease } from '../exchange/answer-budget.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import type { BookingLease } from '../pools/booking-lease.ts';
import type { DecisionRecord } from '../telemetry/decision-log.ts';
import type { GatewayMetrics } from '../telemetry/gateway-metrics.ts';
import type { AnswerForm } from './client-answer.ts';
import { type AttemptFailure, faultOf, hold, pass, type RelayOutcome, type RelayWatch, type Verdict } from './relay.ts';
import { StreamObserver } from './stream-observer.ts';

/** A longer answer in one piece is not parsed for its usage. */
const observedBodyBytesMax = 4 * 1024 * 1024;

export interface InferenceWatchOptions {
  readonly lease: BookingLease;
  /** Counts the memory held for the answer. */
  readonly memory: AnswerLease;
  readonly record: DecisionRecord;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
  /** Prompts times sequences. */
  readonly choices: number;
  /** Arrival of the request. */
  readonly startedMs: number;
  /** The engine that answers. */
  readonly engine: Engine;
  /** Account of the worker that answers. */
  readonly account: WorkerAccount;
  /** Whether another engine is likely to be faster, given that this one has sent nothing for `silenceMs`. */
  mayMove(silenceMs: number): boolean;
  /** Whether to try another engine instead; asked at most once. */
  mayGiveUp(failure: AttemptFailure): boolean;
  onFirstToken(): void;
  /** Called with the usage that the engine reports at the end. */
  onUsage(usage: Usage): void;
}

export class InferenceWatch implements RelayWatch {
  readonly #options: InferenceWatchOptions;
  #status = 0;
  #observer: StreamObserver | null = null;
  /** The answer so far, if it comes in one piece; null if it is not collected. */
  #body: ByteCollector | null = null;
  #nowMs = 0;
  #lastTokenMs = 0;
  /** The answer has been tied to the client. */
  #passes = false;

  constructor(options: InferenceWatchOptions) {
    this.#options = options;
  }

  head(status: number, form: AnswerForm): Verdict {
    this.#status = status;
    if (status !== 200) return this.#refused(status);
    if (form === 'whole') {
      this.#body = new ByteCollector(this.#options.memory);
      return pass;
    }
    if (form === 'unreadable-stream') {
      const { metrics, log, engine, record } = this.#options;
      metrics.unobservedStreams.inc();
      log.debug(
        { engine: engine.url, requestId: record.requestId },
        'the engine compresses its stream: tokens are not counted',
      );
      return pass;
    }
    const listener = {
      tokens: (choice: number, count: number) => this.#tokens(choice, count),
      totalTokens: (count: number) => this.#options.lease.totalTokens(count),
    };
    this.#observer = new StreamObserver(this.#options.choices, listener, this.#options.memory);
    return hold;
  }

  data(chunk: Buffer, call: Call): Verdict {
    if (this.#body !== null) this.#collect(this.#body, chunk);
    if (this.#observer === null) return pass;
    const tooLong = this.#observe(this.#observer, chunk);
    if (tooLong !== null) return { kind: 'break-off', error: tooLong };
    if (this.#lastTokenMs === this.#nowMs) this.#options.engine.calls.token(call, this.#nowMs);
    return this.#verdict();
  }

  end(): Error | null {
    if (this.#observer === null || this.#observer.complete || this.#observer.error !== null) return null;
    return new Error('the stream ended before the answer was complete');
  }

  mayMove(silenceMs: number): boolean {
    return this.#options.mayMove(silenceMs);
  }

  settled(outcome: RelayOutcome): void {
    const { lease, record, metrics, onUsage, startedMs } = this.#options;
    const nowMs = performance.now();
    const error = this.#error(outcome);
    record.outcome = outcome.kind === 'gone' ? 'aborted' : error === null ? 'done' : 'failed';
    lease.release(record.outcome, nowMs);
    const usage = this.#usage(outcome);
    record.status = this.#status === 0 ? null : this.#status;
    record.error = error;
    record.durationMs = nowMs - startedMs;
    record.outputTokens = this.#observer?.outputTokens ?? usage?.completionTokens ?? null;
    record.usage = usage;
    if (record.outputTokens !== null) metrics.outputTokens.inc(record.outputTokens);
    if (usage !== null) {
      metrics.promptTokens.inc(usage.promptTokens);
      if (usage.cachedTokens !== null) {
        metrics.predictedCachedTokens.inc(record.decision.overlapTokens);
        metrics.actualCachedTokens.inc(usage.cachedTokens);
      }
      if (record.outcome === 'done' && this.#status === 200) this.#check(usage);
      onUsage(usage);
    }
  }

  /** 429 and 503 mean full, other 5xx mean failed; 4xx is the client's own error. */
  #refused(status: number): Verdict {
    const failure = status === 429 || status === 503 ? 'full' : status >= 500 ? 'error' : null;
    if (failure === null || !this.#options.mayGiveUp(failure)) return pass;
    return { kind: 'give-up', failure, error: new Error(`the engine answered with status ${status}`) };
  }

  #verdict(): Verdict {
    const observer = this.#observer;
    if (this.#passes || observer === null || observer.begun) return this.#pass();
    if (observer.error === null) return hold;
    const isClients = observer.errorStatus !== null && observer.errorStatus < 500;
    if (isClients || !this.#options.mayGiveUp('error')) return this.#pass();
    return { kind: 'give-up', failure: 'error', error: new Error(observer.error) };
  }

  #pass(): Verdict {
    this.#passes = true;
    return pass;
  }

  /** @returns why the rest of the stream can't be read, or null */
  #observe(observer: StreamObserver, chunk: Buffer): Error | null {
    this.#nowMs = performance.now();
    try {
      observer.push(chunk);
      return null;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const { metrics, log, engine, record } = this.#options;
      metrics.limited.inc({ limit: 'eventBytesMax' });
      log.warn({ engine: engine.url, requestId: record.requestId }, `stream broken off: ${error.message}`);
      return error;
    }
  }

  #collect(body: ByteCollector, chunk: Buffer): void {
    try {
      if (body.length + chunk.length <= observedBodyBytesMax) {
        body.append(chunk);
        return;
      }
    } catch (error) {
      if (!(error instanceof LimitReached)) throw error;
      const { metrics, log, engine, record } = this.#options;
      metrics.limited.inc({ limit: error.limit });
      log.warn({ engine: engine.url, requestId: record.requestId }, `an answer's usage is not read: ${error.message}`);
    }
    // Frees the collected part; the client still gets the answer.
    body.take();
    this.#body = null;
  }

  #tokens(choice: number, count: number): void {
    const { lease, record, metrics, startedMs } = this.#options;
    const nowMs = this.#nowMs;
    lease.tokens(choice, count, nowMs);
    if (record.ttftMs === null) {
      record.ttftMs = nowMs - startedMs;
      record.hindsight = lease.hindsight;
      metrics.ttftS.record(record.ttftMs / 1000);
      this.#options.onFirstToken();
    } else if (this.#options.choices === 1 && count > 0) {
      metrics.itlS.record((nowMs - this.#lastTokenMs) / 1000 / count, count);
    }
    this.#lastTokenMs = nowMs;
  }

  /**
   * Compares the predicted with the actual tokens. With several choices engines report the cached tokens of only one.
   */
  #check({ promptTokens, cachedTokens }: Usage): void {
    const { record, account, metrics, choices } = this.#options;
    if (record.known !== 'tokens' || choices !== 1) return;
    if (promptTokens !== record.decision.isl) {
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

  #usage(outcome: RelayOutcome): Usage | null {
    const { engine } = this.#options;
    const reading = this.#observer === null ? this.#bodyUsage(outcome) : this.#observer.usage;
    if (reading === 'absent') return null;
    if (reading === 'malformed') {
      this.#malformedUsage();
      return null;
    }
    return outcome.kind === 'answered' && this.#status === 200 ? engine.complete(reading) : reading;
  }

  #malformedUsage(): void {
    const { engine, metrics, log, record } = this.#options;
    metrics.malformedUsages.inc();
    const line = { engine: engine.url, requestId: record.requestId };
    log[engine.toldMalformedUsage ? 'debug' : 'warn'](line, 'the engine reported an impossible usage; it is ignored');
    engine.toldMalformedUsage = true;
  }

  #bodyUsage(outcome: RelayOutcome): UsageReading {
    if (this.#body === null || outcome.kind !== 'answered') return 'absent';
    return readBodyUsage(this.#body.take());
  }

  /** Why the answer failed, for the record; null if it did not. */
  #error(outcome: RelayOutcome): string | null {
    return faultOf(outcome) ?? (outcome.kind === 'answered' ? (this.#observer?.error ?? null) : null);
  }
}

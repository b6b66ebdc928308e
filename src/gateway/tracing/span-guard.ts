// Stands between spans and their exporter: bounds what waits for a collector, and counts what becomes of every span.
//
// The SDK's own queue has the same bound, but does not say what it drops, and forgets what it has handed to the
// exporter: a collector that never answers would hold more.

import type { ExportResult } from '@opentelemetry/core';
import type { SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace-base';

/** `sent`: a collector has it. `failed`: no collector took it. `dropped`: too many were waiting (spansWaitingMax). */
export type SpanFate = 'sent' | 'failed' | 'dropped';

export interface SpanGuardOptions {
  /** Spans that wait for the collector or are on their way to it. */
  readonly spansWaitingMax: number;
  /** Called with the reason of every failure. */
  onFates(fate: SpanFate, count: number, reason: string | null): void;
}

export class SpanGuard {
  readonly #options: SpanGuardOptions;
  #waiting = 0;

  constructor(options: SpanGuardOptions) {
    this.#options = options;
  }

  /** Spans that wait or are on their way. */
  get waiting(): number {
    return this.#waiting;
  }

  /** @param next gets the spans for which there is room, and must export them through `exporter` */
  processor(next: SpanProcessor): SpanProcessor {
    return {
      onStart: (span, parent) => next.onStart(span, parent),
      onEnd: (span) => {
        if (this.#waiting >= this.#options.spansWaitingMax) {
          this.#options.onFates('dropped', 1, null);
          return;
        }
        this.#waiting += 1;
        next.onEnd(span);
      },
      forceFlush: () => next.forceFlush(),
      shutdown: () => next.shutdown(),
    };
  }

  /** Every export ends once in its counts. @param to sends the spans */
  exporter(to: SpanExporter): SpanExporter {
    return {
      export: (spans, done) => {
        let over = false;
        const settle = (result: ExportResult): void => {
          if (over) return;
          over = true;
          this.#waiting -= spans.length;
          const reason = result.code === 0 ? null : (result.error?.message ?? 'unknown');
          this.#options.onFates(reason === null ? 'sent' : 'failed', spans.length, reason);
          done(result);
        };
        try {
          to.export(spans, settle);
        } catch (error) {
          settle({ code: 1, error: error as Error });
        }
      },
      shutdown: () => to.shutdown(),
    };
  }
}

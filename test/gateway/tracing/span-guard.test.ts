import type { ExportResult } from '@opentelemetry/core';
import type { ReadableSpan, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace-base';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type SpanFate, SpanGuard } from '../../../src/gateway/tracing/span-guard.ts';

const span = {} as ReadableSpan;

/** What the guard is told, in order; answers concern the oldest export under way. */
type Step = 'span' | 'export' | 'answer' | 'refuse' | 'answer-twice' | 'throw';
const steps: readonly Step[] = ['span', 'export', 'answer', 'refuse', 'answer-twice', 'throw'];

it('never holds more than its bound, and every span has one fate', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.constantFrom(...steps), { maxLength: 60 }),
      (max, taken) => {
        const fates: Record<SpanFate, number> = { sent: 0, failed: 0, dropped: 0 };
        const guard = new SpanGuard({
          spansWaitingMax: max,
          onFates: (fate, count) => {
            fates[fate] += count;
          },
        });
        let batch: ReadableSpan[] = [];
        const underWay: ((result: ExportResult) => void)[] = [];
        let throws = false;
        const exporter = guard.exporter({
          export: (_spans, done) => {
            if (throws) throw new Error('broken');
            underWay.push(done);
          },
          shutdown: () => Promise.resolve(),
        } satisfies SpanExporter);
        const processor = guard.processor({
          onStart: () => undefined,
          onEnd: (one) => batch.push(one),
          forceFlush: () => Promise.resolve(),
          shutdown: () => Promise.resolve(),
        } satisfies SpanProcessor);
        let made = 0;
        const send = (): void => {
          const spans = batch;
          batch = [];
          if (spans.length > 0) exporter.export(spans, () => undefined);
        };
        for (const step of taken) {
          if (step === 'span') {
            made += 1;
            processor.onEnd(span);
          } else if (step === 'export') send();
          else if (step === 'throw') {
            throws = true;
            send();
            throws = false;
          } else {
            const done = underWay.shift();
            done?.({ code: step === 'refuse' ? 1 : 0 });
            if (step === 'answer-twice') done?.({ code: 1 });
          }
          expect(guard.waiting).toBeLessThanOrEqual(max);
          expect(guard.waiting + fates.sent + fates.failed + fates.dropped).toBe(made);
        }
        send();
        for (const done of underWay) done({ code: 0 });
        expect(guard.waiting).toBe(0);
      },
    ),
  );
});

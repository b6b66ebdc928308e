// What the spans of requests need of the official packages, which are loaded only where a collector is configured.

import type { Context, Span, Tracer } from '@opentelemetry/api';

export interface SpanTools {
  readonly tracer: Tracer;
  /** The client's trace; if its headers are missing or malformed, none. */
  contextOf(traceparent: string | null, tracestate: string | null): Context;
  /** For spans below this one. */
  below(span: Span): Context;
  /** `traceparent` and, if there is one, `tracestate`: names and values. */
  headersOf(span: Span): readonly string[];
}

export async function loadSpanTools(tracer: Tracer): Promise<SpanTools> {
  const { ROOT_CONTEXT, trace } = await import('@opentelemetry/api');
  const { W3CTraceContextPropagator } = await import('@opentelemetry/core');
  const propagator = new W3CTraceContextPropagator();
  type Carrier = Readonly<Record<string, string>>;
  const getter = {
    get: (carrier: Carrier, key: string) => carrier[key],
    keys: (carrier: Carrier) => Object.keys(carrier),
  };
  return {
    tracer,
    contextOf: (traceparent, tracestate) => {
      if (traceparent === null) return ROOT_CONTEXT;
      return propagator.extract(ROOT_CONTEXT, { traceparent, ...(tracestate !== null && { tracestate }) }, getter);
    },
    below: (span) => trace.setSpan(ROOT_CONTEXT, span),
    headersOf: (span) => {
      const { traceId, spanId, traceFlags, traceState } = span.spanContext();
      const traceparent = `00-${traceId}-${spanId}-0${traceFlags & 1}`;
      const tracestate = traceState?.serialize() ?? '';
      return ['traceparent', traceparent, ...(tracestate === '' ? [] : ['tracestate', tracestate])];
    },
  };
}

// The spans of one request: a server span, and below it tokens, queue, decision and one client span for each attempt.
//
// Names follow the conventions for generative AI of OpenTelemetry, v0.1.0 (status: development), and its semantic
// conventions v1.44.0 for HTTP; attributes of this router begin with `kvoyant.`. Only the server span and the attempts
// exist while the request runs, since engines need their ids; the others are made afterwards, from times that were noted.

import type { Attributes, Context, Span, Tracer } from '@opentelemetry/api';
import type { AttemptRecord } from '../exchange/attempt-record.ts';
import type { AskedOf, AttemptTrace, RequestTrace } from '../exchange/request-trace.ts';
import type { SpanTools } from './span-tools.ts';

/** `SpanKind` and `SpanStatusCode` of the API, whose package is loaded only where a collector is configured. */
const [server, client] = [1, 2];
const statusError = 2;

/** The beginning of a request. */
export interface Beginning {
  readonly id: string;
  readonly method: string;
  /** Without the query, which may carry secrets. */
  readonly path: string;
  /** As of `performance.now()`. */
  readonly startedMs: number;
  /** Name of the client's key; null: none. */
  readonly key: string | null;
  readonly traceparent: string | null;
  readonly tracestate: string | null;
}

const operations: ReadonlyMap<string, string> = new Map([
  ['/v1/completions', 'text_completion'],
  ['/v1/chat/completions', 'chat'],
  ['/v1/responses', 'chat'],
  ['/v1/messages', 'chat'],
  ['/v1/embeddings', 'embeddings'],
  ['/v2/embed', 'embeddings'],
]);

/** The operation in the words of the conventions; other routes by their own name, such as `rerank`. */
export function operationOf(path: string): string {
  return operations.get(path) ?? (path.replace(/^\/v\d\//, '').replace(/^\//, '') || 'unknown');
}

/** Begins the trace of a request, sampled or not. */
export function traceRequest(tools: SpanTools, beginning: Beginning): RequestTrace {
  const { tracer } = tools;
  const parent = tools.contextOf(beginning.traceparent, beginning.tracestate);
  // Wall-clock time as of now: `performance.timeOrigin` drifts away from it over days.
  const toEpochMs = Date.now() - performance.now();
  const operation = operationOf(beginning.path);
  const span = tracer.startSpan(operation, { kind: server, startTime: toEpochMs + beginning.startedMs }, parent);
  if (!span.isRecording()) return new UnsampledTrace(tools.headersOf(span));
  return new RequestSpans(tools, span, beginning, toEpochMs);
}

/** Only tells engines that the trace is not sampled. */
class UnsampledTrace implements RequestTrace {
  readonly traceId = null;
  readonly headers: readonly string[];

  constructor(headers: readonly string[]) {
    this.headers = headers;
  }

  asks(): void {}
  tokenized(): void {}
  placing(): void {}
  waited(): void {}
  choosing(): void {}
  placed(): void {}
  attempt(): AttemptTrace {
    return unsampledAttempt;
  }
  ended(): void {}
}

const unsampledAttempt: AttemptTrace = { firstToken: () => undefined, ended: () => undefined };

/** Wait for a worker and choice of it, as of `performance.now()`. */
interface Placing {
  /** Null: it was not queued. */
  queuedMs: { readonly start: number; readonly end: number } | null;
  choiceMs: number;
  /** Null while it waits. */
  placedMs: number | null;
}

class RequestSpans implements RequestTrace {
  readonly traceId: string;
  headers: readonly string[];
  readonly #tools: SpanTools;
  readonly #tracer: Tracer;
  readonly #span: Span;
  readonly #context: Context;
  readonly #beginning: Beginning;
  readonly #toEpochMs: number;
  readonly #operation: string;
  #model: string | null = null;
  #placing: Placing | null = null;
  #record: AttemptRecord | null = null;
  #ended = false;

  constructor(tools: SpanTools, span: Span, beginning: Beginning, toEpochMs: number) {
    this.#tools = tools;
    this.#tracer = tools.tracer;
    this.#span = span;
    this.#beginning = beginning;
    this.#toEpochMs = toEpochMs;
    this.#context = tools.below(span);
    this.#operation = operationOf(beginning.path);
    this.traceId = span.spanContext().traceId;
    this.headers = tools.headersOf(span);
  }

  asks({ model, stream, maxOutputTokens, sequences }: AskedOf): void {
    this.#model = model;
    this.#span.updateName(this.#name);
    this.#span.setAttributes({
      'gen_ai.request.model': model,
      ...(stream !== null && { 'gen_ai.request.stream': stream }),
      ...(maxOutputTokens !== null && { 'gen_ai.request.max_tokens': maxOutputTokens }),
      ...(sequences !== 1 && { 'gen_ai.request.choice.count': sequences }),
    });
  }

  tokenized(startMs: number, endMs: number, known: string): void {
    this.#child('tokens', startMs, endMs, { 'kvoyant.known': known });
  }

  placing(): void {
    this.#placing = { queuedMs: null, choiceMs: performance.now(), placedMs: null };
  }

  waited(waitedMs: number): void {
    const end = performance.now();
    if (this.#placing !== null) this.#placing.queuedMs = { start: end - waitedMs, end };
  }

  choosing(): void {
    // Whoever looks at the prompts after the choice asks for them again.
    if (this.#placing?.placedMs === null) this.#placing.choiceMs = performance.now();
  }

  placed(): void {
    if (this.#placing !== null) this.#placing.placedMs = performance.now();
  }

  attempt(record: AttemptRecord, engineUrl: string): AttemptTrace {
    this.#record = record;
    const placing = this.#placing;
    this.#placing = null;
    const startMs = performance.now();
    const { hostname, port, protocol } = new URL(engineUrl);
    const span = this.#tracer.startSpan(
      this.#name,
      {
        kind: client,
        startTime: this.#toEpochMs + startMs,
        attributes: Object.assign(this.#common(), {
          // The engine's own name of it, behind an alias.
          'gen_ai.request.model': record.model,
          'server.address': hostname,
          'server.port': Number(port) || (protocol === 'https:' ? 443 : 80),
          'kvoyant.worker': record.worker,
          'kvoyant.attempt': record.attempt,
          ...(record.continuedTokens !== null && { 'kvoyant.continued_tokens': record.continuedTokens }),
        }),
      },
      this.#context,
    );
    this.headers = this.#tools.headersOf(span);
    return {
      firstToken: () => this.#firstToken(span, record),
      ended: () => {
        if (placing !== null) this.#decision(record, placing, startMs);
        this.#attemptEnded(span, record);
      },
    };
  }

  ended(status: number, limit: string | null): void {
    if (this.#ended) return;
    this.#ended = true;
    const nowMs = performance.now();
    const record = this.#record;
    // It was not placed: the wait is all there is to see.
    if (this.#placing !== null) this.#queue(this.#placing);
    const { id, method, path, key } = this.#beginning;
    const ofRequest = {
      'http.request.method': method,
      'http.route': path,
      'http.response.status_code': status,
      ...(status >= 400 && { 'error.type': limit ?? String(status) }),
      ...(record !== null && usageOf(asWhole(record))),
      ...(record !== null && servedBy(record)),
      'kvoyant.request_id': id,
      ...(key !== null && { 'kvoyant.key': key }),
      ...(limit !== null && { 'kvoyant.limit': limit }),
    };
    this.#span.setAttributes(Object.assign(this.#common(), ofRequest));
    if (status >= 500) this.#span.setStatus({ code: statusError });
    this.#span.end(this.#toEpochMs + nowMs);
  }

  get #name(): string {
    return this.#model === null ? this.#operation : `${this.#operation} ${this.#model}`;
  }

  #common(): Attributes {
    return {
      'gen_ai.operation.name': this.#operation,
      'gen_ai.provider.name': 'kvoyant',
      ...(this.#model !== null && { 'gen_ai.request.model': this.#model }),
    };
  }

  #child(name: string, startMs: number, endMs: number, attributes: Attributes): void {
    this.#tracer
      .startSpan(name, { startTime: this.#toEpochMs + startMs, attributes }, this.#context)
      .end(this.#toEpochMs + endMs);
  }

  /** A request that is placed at once has no span of the queue. */
  #queue({ queuedMs }: Placing): void {
    if (queuedMs !== null) this.#child('queue', queuedMs.start, queuedMs.end, {});
  }

  #decision(record: AttemptRecord, placing: Placing, startMs: number): void {
    const { worker, decision, usage, hindsight, account, known } = record;
    const { choiceMs, placedMs } = placing;
    this.#queue(placing);
    const predictedMs = decision.predictedTtftMs;
    this.#child('decision', choiceMs, placedMs ?? startMs, {
      'kvoyant.worker': worker,
      'kvoyant.policy': decision.policy,
      'kvoyant.reason': decision.reason,
      'kvoyant.candidates': decision.candidateCount,
      'kvoyant.known': known,
      'kvoyant.prompt_tokens': decision.isl,
      'kvoyant.overlap_tokens': decision.overlapTokens,
      'kvoyant.best_overlap_tokens': decision.bestOverlapTokens,
      'kvoyant.uncached_tokens': decision.uncachedTokens,
      ...(predictedMs !== null && { 'kvoyant.predicted_ttft_ms': predictedMs }),
      ...(hindsight != null && { 'kvoyant.actual_ttft_ms': hindsight.ttftMs }),
      ...(hindsight?.regretMs != null && { 'kvoyant.regret_ms': hindsight.regretMs }),
      ...(usage?.cachedTokens != null && { 'kvoyant.actual_cached_tokens': usage.cachedTokens }),
      ...(account !== null && {
        'kvoyant.index_miss_tokens': account.indexMissTokens,
        'kvoyant.promise_miss_tokens': account.promiseMissTokens,
      }),
    });
  }

  #firstToken(attempt: Span, { ttftMs, continuedTokens }: AttemptRecord): void {
    if (continuedTokens !== null) {
      attempt.addEvent('first_token', {}, this.#toEpochMs + performance.now());
      return;
    }
    const atMs = this.#toEpochMs + this.#beginning.startedMs + (ttftMs ?? 0);
    const attributes = { 'kvoyant.ttft_ms': ttftMs ?? 0 };
    this.#span.addEvent('first_token', attributes, atMs);
    attempt.addEvent('first_token', attributes, atMs);
  }

  #attemptEnded(span: Span, record: AttemptRecord): void {
    const { outcome, status, error } = record;
    const attributes = usageOf(record);
    if (status !== null) attributes['http.response.status_code'] = status;
    if (outcome !== null) attributes['kvoyant.outcome'] = outcome;
    if (outcome === 'failed') attributes['error.type'] = status !== null && status >= 400 ? String(status) : '_OTHER';
    span.setAttributes(attributes);
    if (outcome === 'failed') span.setStatus({ code: statusError, message: (error ?? '').slice(0, messageLengthMax) });
    span.end(this.#toEpochMs + performance.now());
  }
}

/** Messages of errors may quote an engine: longer ones are cut. */
const messageLengthMax = 256;

function servedBy({ attempt, worker, model, pool, route }: AttemptRecord): Attributes {
  return {
    'gen_ai.response.model': model,
    'kvoyant.pool': pool,
    ...(route !== null && { 'kvoyant.route': route.way }),
    'kvoyant.attempts': attempt,
    'kvoyant.worker': worker,
  };
}

type Told = Pick<AttemptRecord, 'usage' | 'outputTokens' | 'ttftMs'>;

/** What the client got, from the last attempt: its prompt holds the tokens of earlier ones. */
function asWhole(record: AttemptRecord): Told {
  const { usage, outputTokens, continuedTokens: before } = record;
  if (before === null) return record;
  return {
    usage: usage && { ...usage, promptTokens: usage.promptTokens - before },
    outputTokens: (outputTokens ?? 0) + before,
    ttftMs: null,
  };
}

function usageOf({ usage, outputTokens, ttftMs }: Told): Attributes {
  const attributes: Attributes = {};
  if (usage !== null) attributes['gen_ai.usage.input_tokens'] = usage.promptTokens;
  if (usage?.cachedTokens != null) attributes['gen_ai.usage.cache_read.input_tokens'] = usage.cachedTokens;
  if (outputTokens !== null) attributes['gen_ai.usage.output_tokens'] = outputTokens;
  if (ttftMs !== null) attributes['gen_ai.response.time_to_first_chunk'] = ttftMs / 1000;
  return attributes;
}

// The log line of a request: who, where, why, how much, how long. Never prompts, answers or keys.

import type { AttemptRecord } from '../exchange/attempt-record.ts';

/** Paths come from clients: longer ones are cut. */
const pathLengthMax = 256;

/** A request that has ended; an exchange is one. */
export interface EndedRequest {
  readonly id: string;
  readonly request: { readonly method?: string | undefined };
  readonly path: string;
  readonly model: string | null;
  readonly key: { readonly name: string } | null;
  /** The limit that ended it, or null. */
  readonly limit: string | null;
  /** On the clock of `requestLine`. */
  readonly startedMs: number;
  readonly record: AttemptRecord | null;
}

export function requestLine(ended: EndedRequest, status: number, nowMs: number): object {
  const { id, request, path, model, key, limit, startedMs, record } = ended;
  const line = {
    requestId: id,
    method: request.method,
    // Without the query, which may carry secrets.
    path: path.slice(0, pathLengthMax),
    status,
    key: key?.name ?? null,
    model,
    limit,
    durationMs: Math.round(nowMs - startedMs),
  };
  if (record === null) return line;
  // The text so far is part of the prompt of an engine that goes on with it.
  const { decision, continuedTokens: continued, model: servedModel, pool, route } = record;
  return Object.assign(line, route === null ? null : { servedModel, pool, way: route.way }, {
    worker: record.worker,
    workerClientId: record.workerClientId,
    attempts: record.attempt,
    policy: decision.policy,
    reason: decision.reason,
    ...(continued !== null && { continuedTokens: continued }),
    inputTokens: (record.usage?.promptTokens ?? decision.isl) - (continued ?? 0),
    predictedCachedTokens: decision.overlapTokens,
    cachedTokens: record.usage?.cachedTokens ?? null,
    outputTokens: record.outputTokens === null ? continued : record.outputTokens + (continued ?? 0),
    predictedTtftMs: rounded(decision.predictedTtftMs),
    choiceToFirstTokenMs: rounded(record.hindsight?.ttftMs ?? null),
    ttftMs: rounded(record.ttftMs),
    outcome: record.outcome,
  });
}

function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms);
}

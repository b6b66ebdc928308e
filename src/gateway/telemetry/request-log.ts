// The log line of a request: who, where, why, how much, how long. Never prompts, answers or keys.

import type { Exchange } from '../exchange/exchange.ts';

/** Paths come from clients: longer ones are cut. */
const pathLengthMax = 256;

export function requestLine(exchange: Exchange, status: number, nowMs: number): object {
  const { id, request, path, model, key, limit, startedMs, record } = exchange;
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
  const { decision } = record;
  return {
    ...line,
    worker: record.worker,
    workerClientId: record.workerClientId,
    attempts: record.attempt,
    policy: decision.policy,
    reason: decision.reason,
    inputTokens: record.usage?.promptTokens ?? decision.isl,
    predictedCachedTokens: decision.overlapTokens,
    cachedTokens: record.usage?.cachedTokens ?? null,
    outputTokens: record.outputTokens,
    predictedTtftMs: rounded(decision.predictedTtftMs),
    choiceToFirstTokenMs: rounded(record.hindsight?.ttftMs ?? null),
    ttftMs: rounded(record.ttftMs),
    outcome: record.outcome,
  };
}

function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms);
}

// Summary figures of one run, computed from its request records.

import type { RequestFailure, RequestRecord } from './request-record.ts';
import { type Summary, summarize } from './summary.ts';

/**
 * Latencies are those of successful requests; `failed` counts the others. TTFT and E2E count from `startMs` of each
 * record. ITL is the flat list of all gaps between neighbouring tokens.
 */
export interface RunSummary {
  readonly requests: number;
  readonly failed: number;
  readonly ttftMs: Summary;
  readonly itlMs: Summary;
  readonly e2eMs: Summary;
  /** Successful requests / time from the first start to the last end. */
  readonly requestsPerS: number;
  readonly makespanMs: number;
  readonly outputTokens: number;
  /** Sums of the usage reported by the streams. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** Largest lag of the load client in sending. */
  readonly sendLagMsMax: number;
}

export function summarizeRun(records: readonly RequestRecord[]): RunSummary {
  const succeeded = records.filter((record) => record.failure === null);
  const withToken = succeeded.filter((record) => record.firstTokenMs !== null);
  let firstStartMs = Number.POSITIVE_INFINITY;
  let lastEndMs = Number.NEGATIVE_INFINITY;
  let sendLagMsMax = 0;
  for (const record of records) {
    firstStartMs = Math.min(firstStartMs, record.startMs);
    lastEndMs = Math.max(lastEndMs, record.endMs);
    sendLagMsMax = Math.max(sendLagMsMax, record.sentMs - record.startMs);
  }
  const makespanMs = records.length === 0 ? Number.NaN : lastEndMs - firstStartMs;
  return {
    requests: records.length,
    failed: records.length - succeeded.length,
    ttftMs: summarize(withToken.map((record) => record.firstTokenMs! - record.startMs)),
    itlMs: summarize(allGapsMs(succeeded)),
    e2eMs: summarize(succeeded.map((record) => record.endMs - record.startMs)),
    requestsPerS: (succeeded.length / makespanMs) * 1000,
    makespanMs,
    outputTokens: total(succeeded, (record) => record.outputTokens),
    promptTokens: total(succeeded, (record) => record.promptTokens ?? 0),
    cachedTokens: total(succeeded, (record) => record.cachedTokens ?? 0),
    sendLagMsMax,
  };
}

/** One line per distinct failure, most frequent first. */
export function describeFailures(records: readonly RequestRecord[]): string[] {
  const counts = new Map<string, number>();
  for (const { failure } of records) {
    if (failure === null) continue;
    const text = failureText(failure);
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]).map(([text, count]) => `${count} x ${text}`);
}

function failureText(failure: RequestFailure): string {
  return `${failure.kind}: ${failure.message}`;
}

function total(records: readonly RequestRecord[], of: (record: RequestRecord) => number): number {
  let sum = 0;
  for (const record of records) sum += of(record);
  return sum;
}

function allGapsMs(records: readonly RequestRecord[]): Float64Array {
  const all = new Float64Array(total(records, (record) => record.gapsMs.length));
  let at = 0;
  for (const { gapsMs } of records) {
    all.set(gapsMs, at);
    at += gapsMs.length;
  }
  return all;
}

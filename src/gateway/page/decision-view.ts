// A decision as the page shows it: in short for the stream, and in full with the reason in plain words.

import type { CandidateCost } from '../../core/index.ts';
import type { WorkerTrust } from '../feeds/worker-trust.ts';
import type { DecisionRecord } from '../telemetry/decision-log.ts';
import { costUnitOf, termsOf } from './cost-terms.ts';
import type { CandidateState, DecisionInFull, DecisionShort, Surprise } from './decision-data.ts';
import type { TrustState } from './fleet-data.ts';
import { orNull } from './series-ring.ts';
import { whyOf } from './why.ts';

/** See `Surprise`. */
const cacheSurpriseTokens = 16;
const cacheSurpriseShare = 0.05;
const ttftSurpriseMs = 100;
const ttftSurpriseShare = 0.5;

export function shortOf(record: DecisionRecord): DecisionShort {
  const { decision, usage, hindsight } = record;
  return {
    seq: record.seq,
    requestId: record.requestId,
    timeMs: record.timeMs,
    model: record.model,
    worker: record.worker,
    attempt: record.attempt,
    reason: decision.reason,
    candidates: decision.candidateCount,
    promptTokens: decision.isl,
    predictedCachedTokens: decision.overlapTokens,
    actualCachedTokens: usage?.cachedTokens ?? null,
    predictedTtftMs: numberOrNull(decision.predictedTtftMs),
    actualTtftMs: numberOrNull(hindsight?.ttftMs ?? null),
    outputTokens: record.outputTokens,
    durationMs: numberOrNull(record.durationMs),
    outcome: record.outcome,
    surprise: surpriseOf(record),
  };
}

/** How the prediction was wrong; null: it was not, or that is not known yet. */
export function surpriseOf({ decision, usage, hindsight, known }: DecisionRecord): Surprise | null {
  const cached = usage?.cachedTokens ?? null;
  const offTokens = cached === null || known !== 'tokens' ? 0 : Math.abs(cached - decision.overlapTokens);
  const isCache = offTokens > cacheSurpriseTokens && offTokens > cacheSurpriseShare * decision.isl;
  const { predictedTtftMs = 0, ttftMs = 0 } = hindsight ?? {};
  const offMs = Math.abs(predictedTtftMs - ttftMs);
  const isTtft = offMs > ttftSurpriseMs && offMs > ttftSurpriseShare * ttftMs;
  return isCache && isTtft ? 'both' : isCache ? 'cache' : isTtft ? 'ttft' : null;
}

/** @param pool name of the pool that serves its model now */
export function inFullOf(record: DecisionRecord, pool: string): DecisionInFull {
  const { decision, hindsight, workerIds } = record;
  const all = decision.candidates();
  const nameOf = (worker: number): string => workerIds.get(worker) ?? `removed worker ${worker}`;
  const best = hindsight?.bestWorker ?? null;
  return {
    ...shortOf(record),
    pool,
    policy: decision.policy,
    costUnit: costUnitOf(decision.policy),
    why: whyOf(decision, all, nameOf),
    trust: trustStateOf(record.trust),
    known: record.known,
    slo: record.slo,
    predictedTpotMs: numberOrNull(decision.predictedTpotMs),
    actualPromptTokens: record.usage?.promptTokens ?? null,
    arrivalToFirstTokenMs: numberOrNull(record.ttftMs),
    regretMs: numberOrNull(hindsight?.regretMs ?? null),
    bestWorker: best === null ? null : nameOf(best),
    account: record.account,
    status: record.status,
    error: record.error,
    all: candidatesOf(decision.policy, decision.isl, decision.worker, all, nameOf),
  };
}

export function trustStateOf({ kind, reason, detail }: WorkerTrust): TrustState {
  return { kind, reason, detail };
}

function candidatesOf(
  policy: string,
  isl: number,
  chosen: number,
  all: readonly CandidateCost[],
  nameOf: (worker: number) => string,
): CandidateState[] {
  const terms = termsOf(policy, { isl, all });
  const hasCosts = all.some(({ cost }) => cost !== 0);
  const lowest = Math.min(...all.map(({ cost }) => cost));
  return all.map((one, i) => ({
    worker: nameOf(one.worker),
    chosen: one.worker === chosen,
    cost: hasCosts ? orNull(one.cost) : null,
    relativeCost: hasCosts && lowest > 0 ? orNull(one.cost / lowest) : null,
    terms: terms[i]!.map((term) => ({ ...term, value: orNull(term.value) ?? 0 })),
    overlapTokens: one.overlapTokens,
    uncachedTokens: one.uncachedTokens,
    ttftMs: predicted(one.ttftMs),
    tpotMs: predicted(one.tpotMs),
    // Predicted together: a worker without backlog has 0.
    backlogMs: one.ttftMs === 0 ? null : orNull(one.backlogMs),
    prefillMs: predicted(one.prefillMs),
    activeBlocks: one.activeBlocks,
    newBlocks: one.newBlocks,
    activePrefillTokens: one.activePrefillTokens,
    runningRequests: one.runningRequests,
    kvUsage: predicted(one.kvUsage),
    slowness: predicted(one.slowness),
  }));
}

/** Columns that are not filled are 0. */
function predicted(value: number): number | null {
  return value === 0 ? null : orNull(value);
}

function numberOrNull(value: number | null): number | null {
  return value === null ? null : orNull(value);
}

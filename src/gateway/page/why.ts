// Why a decision fell as it did, in plain words for people.

import type { CandidateCost, Decision } from '../../core/index.ts';

/** What the chosen worker has, what waits there, what the runner-up would have cost, and who could not be chosen. */
export function whyOf(
  decision: Pick<Decision, 'reason' | 'worker' | 'overlapTokens' | 'bestOverlapTokens' | 'isl' | 'keptWorkers'>,
  all: readonly CandidateCost[],
  nameOf: (worker: number) => string,
): string {
  const chosen = all.find(({ worker }) => worker === decision.worker);
  if (chosen === undefined) return opening(decision.reason, all.length);
  const of = opening(decision.reason, all.length);
  return [of, holding(decision), waiting(chosen), runnerUp(chosen, all, nameOf), keptFree(decision)]
    .filter((sentence) => sentence !== '')
    .join(' ');
}

function opening(reason: Decision['reason'], candidates: number): string {
  switch (reason) {
    case 'cost':
      return `It had the lowest cost of ${candidates} candidates.`;
    case 'tie':
      return `Several of ${candidates} candidates had the lowest cost; it was drawn, or had the fewest requests.`;
    case 'only':
      return 'It was the only worker that could take the request.';
    case 'temperature':
      return `It was drawn among ${candidates} candidates; lower costs were likelier (temperature).`;
    case 'turn':
      return 'It was its turn (round robin).';
    case 'draw':
      return 'It was drawn at random, without comparing all costs.';
    case 'affinity':
      return 'A rule of the policy assigns prompts with this beginning to it.';
    case 'slo':
      return 'The worker with the lowest cost would have missed what the client asked for (SLO); this one was predicted to meet it.';
    case 'agreed':
      return 'Several new prompts arrived at once; among the workers with little to do it is the one that every replica takes for this beginning.';
    case 'joint':
      return 'Several requests arrived together, and the plan for all of them put this one here.';
  }
}

function holding({
  isl,
  overlapTokens,
  bestOverlapTokens,
}: Pick<Decision, 'overlapTokens' | 'bestOverlapTokens' | 'isl'>): string {
  if (bestOverlapTokens === 0) return 'No candidate had any of the prompt in its cache.';
  const most = `${percent(overlapTokens, isl)} of the prompt (${count(overlapTokens)} of ${count(isl)} tokens)`;
  if (overlapTokens === bestOverlapTokens) return `It held ${most}, and no other held more.`;
  const held = overlapTokens === 0 ? 'nothing of the prompt' : most;
  return `It held ${held}; another held ${count(bestOverlapTokens)}, but would have been busier.`;
}

function waiting({ backlogMs, ttftMs, activePrefillTokens, runningRequests }: CandidateCost): string {
  const requests =
    runningRequests === 0 ? 'no request' : runningRequests === 1 ? '1 request' : `${count(runningRequests)} requests`;
  const queued =
    activePrefillTokens === 0
      ? 'nothing to compute first'
      : `${count(activePrefillTokens)} prompt tokens to compute first${backlogMs > 0 ? ` (${time(backlogMs)})` : ''}`;
  const first = ttftMs > 0 ? `; first token predicted after ${time(ttftMs)}` : '';
  return `It had ${requests} in flight and ${queued}${first}.`;
}

function runnerUp(chosen: CandidateCost, all: readonly CandidateCost[], nameOf: (worker: number) => string): string {
  let next: CandidateCost | null = null;
  for (const one of all) if (one !== chosen && (next === null || one.cost < next.cost)) next = one;
  if (next === null || !(chosen.cost > 0) || !Number.isFinite(next.cost)) return '';
  const times = next.cost / chosen.cost;
  const name = nameOf(next.worker);
  if (times >= 0.995 && times <= 1.005) return `The next best, ${name}, would have cost the same.`;
  if (times < 1) return `${name} had a lower cost (${ratio(times)} x).`;
  return `The next best, ${name}, would have cost ${ratio(times)} times as much.`;
}

function keptFree({ keptWorkers }: Pick<Decision, 'keptWorkers'>): string {
  if (keptWorkers === 0) return '';
  const workers = keptWorkers === 1 ? '1 worker was' : `${keptWorkers} workers were`;
  return `Its tenant had asked for more than its share, so ${workers} kept free for other tenants.`;
}

export function percent(part: number, whole: number): string {
  if (whole === 0) return '0 %';
  const share = (100 * part) / whole;
  return `${part < whole && share > 99 ? 99 : Math.round(share)} %`;
}

/** With thin groups of three digits. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(?:\d{3})+$)/g, ',');
}

export function time(ms: number): string {
  if (ms >= 10_000) return `${Math.round(ms / 1000)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
}

function ratio(times: number): string {
  return times >= 100 ? 'over 100' : times >= 10 ? String(Math.round(times)) : times.toFixed(2);
}

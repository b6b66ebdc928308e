// Thread of a what-if: runs two policies over the latest minutes of a recording in the lab.

import { parentPort, workerData } from 'node:worker_threads';
import type { WhatIfAnswer, WhatIfQuestion } from '../gateway/page/what-if-desk.ts';
import { parsePolicySpec, type RunResult, type RunSpec, resultOf, runSpecDefaults, simulate } from '../lab/index.ts';
import { engineProfiles } from '../sim/engine-profiles.ts';
import { emptyStep } from '../sim/step-time.ts';
import { recordedMinutes } from './what-if-recording.ts';

export type WhatIfReply =
  | { readonly kind: 'done'; readonly answer: WhatIfAnswer }
  | { readonly kind: 'failed'; readonly message: string };

const speedMin = 0.02;
const speedMax = 100;

export async function answerWhatIf(question: WhatIfQuestion): Promise<WhatIfAnswer> {
  const { path, recordingStartMs, fromMs, toMs, policies, workers, seed } = question;
  if (workers.length === 0) throw new Error('no worker has joined, so there is no fleet to run on');
  const { workload, warmupShare, requests, notes } = await recordedMinutes(path, recordingStartMs, fromMs, toMs);
  const fleet = fleetOf(workers);
  const spec: RunSpec = { ...runSpecDefaults, ...fleet.spec, seed, warmupShare };
  const [baseline, asked] = policies.map((policy) => {
    const one = { ...spec, policy: parsePolicySpec(policy) };
    return figures(policy, resultOf(workload, one, simulate(workload, one)));
  });
  return {
    requests,
    baseline: baseline!,
    asked: asked!,
    notes: [
      'Compare the two lab runs with each other: they have the same requests and engines. What happened differs from the first by how far its engines differ from those of the lab.',
      ...fleet.notes,
      'Requests that have not ended yet are not in the recording. Caches in the lab start empty and are warmed up with the traffic before.',
      ...notes,
    ],
  };
}

function figures(policy: string, result: RunResult): WhatIfAnswer['asked'] {
  const { ttftMs, requests } = result.measured;
  return {
    policy,
    requests,
    ttftMeanMs: ttftMs.mean,
    ttftP50Ms: ttftMs.p50,
    ttftP90Ms: result.ttftQuantilesMs[90] ?? null,
    ttftP99Ms: ttftMs.p99,
    prefixHitRate: result.cache.hitRate,
    imbalance: result.workers.prefillMaxOverMean,
  };
}

/**
 * Engines of the lab as fast and as large as those of the fleet, as far as that is known. Speeds are taken from token
 * gaps: they depend little on the load, while the prefill of short prompts is mostly fixed cost.
 */
function fleetOf(workers: WhatIfQuestion['workers']): { readonly spec: Partial<RunSpec>; readonly notes: string[] } {
  const blockSize = workers[0]!.blockSize;
  const kvTokens = workers.map((worker) => worker.kvTokens);
  const known = workers.map(({ msPerToken }) => msPerToken).filter((ms) => ms !== null);
  const gapMs = known.reduce((sum, one) => sum + one, 0) / known.length;
  const { profile } = runSpecDefaults;
  const engineSpeed =
    known.length === 0 ? 1 : Math.min(speedMax, Math.max(speedMin, profileGapMs(kvTokens[0]!) / gapMs));
  const notes = [
    known.length === 0
      ? `No token gap has been observed yet: the lab's engines are as fast as their profile, ${profile}.`
      : `The lab's engines behave like ${profile}, ${engineSpeed.toFixed(2)} times as fast, so that they need as long for a token as the fleet (${gapMs.toFixed(1)} ms).`,
  ];
  if (workers.some((worker) => worker.blockSize !== blockSize)) {
    notes.push(`The fleet has several block sizes; all engines of the lab have blocks of ${blockSize} tokens.`);
  }
  return {
    spec: {
      workers: workers.length,
      blockSize,
      kvTokens: Math.max(blockSize, Math.floor(kvTokens.reduce((sum, one) => sum + one, 0) / kvTokens.length)),
      engineSpeed,
      fleet: { kvTokens, ...(known.length === workers.length && { speeds: known.map((ms) => gapMs / ms) }) },
    },
    notes,
  };
}

/** Time of a step that decodes a few sequences. */
function profileGapMs(kvTokens: number): number {
  const sequences = 8;
  const load = {
    ...emptyStep(),
    tokens: sequences,
    sequences,
    sampled: sequences,
    decodeContextTokens: 1000 * sequences,
  };
  return engineProfiles[runSpecDefaults.profile].stepTimeFor(kvTokens)(load);
}

if (parentPort !== null) {
  const port = parentPort;
  answerWhatIf(workerData as WhatIfQuestion).then(
    (answer) => port.postMessage({ kind: 'done', answer } satisfies WhatIfReply),
    (error: unknown) => {
      const message = error instanceof Error ? error.message : String(error);
      port.postMessage({ kind: 'failed', message } satisfies WhatIfReply);
    },
  );
}

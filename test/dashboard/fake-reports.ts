// Made-up prefixes, truth and what-if results, to go with the made-up fleet.

import { Random } from '../../src/core/random.ts';
import type {
  History,
  PrefixMap,
  Snapshot,
  Truth,
  WhatIfFigures,
  WhatIfResult,
} from '../../src/gateway/page/page-data.ts';

const blockTokens = 16;
const model = 'llama-3.1-8b';

export function fakePrefixes(ids: readonly string[], nowMs: number): PrefixMap {
  const random = new Random(11);
  return {
    timeMs: nowMs,
    stepMs: 60_000,
    sampledShare: 1,
    followedMax: 4096,
    givenUp: 0,
    prefixes: Array.from({ length: 24 }, (_, at) => {
      const tokens = 16 * (40 + random.below(180));
      const requests = Math.round(900 / (at + 1));
      const homes = ids.filter(() => random.float() < 1 / (1 + at / 4));
      return {
        hash: (0x9e3779b97f4a7c15n * BigInt(at + 1)).toString(16).slice(-16),
        parent: null,
        pool: model,
        model,
        tokens,
        blocks: tokens / blockTokens,
        requests,
        hitsErrorMax: 0,
        savedTokens: Math.round(requests * tokens * 0.9),
        workers: homes,
        poolWorkers: ids.length,
        hits: Array.from({ length: 60 }, () => Math.round((requests / 60) * (0.3 + 1.4 * random.float()))),
        lastMs: nowMs - at * 3100,
      };
    }).sort((a, b) => b.savedTokens - a.savedTokens),
  };
}

export function fakeTruth(history: History, snapshot: Snapshot): Truth {
  const { span, stepMs, endMs, series } = history;
  const promptTokens = series.requestsPerS.map((value) => (value ?? 0) * 2600);
  const cached = promptTokens.map((value, at) => value * (0.66 + 0.08 * Math.sin(at / 17)));
  const fates = {
    cachedTokens: 8_412_000,
    workloadMissTokens: 2_710_000,
    routingMissTokens: 912_000,
    promiseMissTokens: 31_000,
    indexMissTokens: 12_400,
    surplusTokens: 8_100,
  };
  return {
    span,
    stepMs,
    endMs,
    promptTokens,
    predictedCachedTokens: cached.map((value, at) => value * (1 + 0.03 * Math.max(0, Math.sin(at / 9)))),
    actualCachedTokens: cached,
    misses: {
      workloadMissTokens: promptTokens.map((value, at) => value * (0.24 - 0.06 * Math.sin(at / 17))),
      routingMissTokens: promptTokens.map((value, at) => value * 0.07 * (1 + 0.5 * Math.sin(at / 6))),
      promiseMissTokens: promptTokens.map((value, at) => (at % 23 === 0 ? value * 0.02 : 0)),
      indexMissTokens: promptTokens.map((value, at) => (at % 41 === 0 ? value * 0.01 : 0)),
    },
    ttftErrorShare: series.ttftP50Ms.map((value) => 0.1 + ((value ?? 0) % 37) / 500),
    ttftBiasShare: series.ttftP50Ms.map((value) => ((value ?? 0) % 29) / 400 - 0.03),
    totals: {
      ...fates,
      requests: 4810,
      promptTokens: 12_100_000,
      predictedCachedTokens: 8_447_000,
      exact: 4702,
      over: 71,
      under: 37,
      tokenMismatches: 0,
      ttftRequests: 4810,
      ttftErrorShare: 0.134,
      ttftBiasShare: 0.021,
      regretMs: 18.4,
    },
    workers: snapshot.workers.map(({ id, trust }, index) => ({
      worker: id,
      trust,
      canary: {
        timeMs: endMs - 90_000,
        state: 'sound',
        proofs: [
          'it counts the same tokens',
          'the expected tokens were in its cache',
          'its KV events announced the blocks',
        ],
        reason: null,
      },
      exact: 590 + index,
      over: index % 3,
      under: index % 2,
      tokenMismatches: 0,
      ttftErrorShare: 0.1 + index / 400,
      ttftBiasShare: 0.02,
      ...fates,
      indexMissTokens: 1000 * (index % 4),
    })),
    findings: snapshot.workers.flatMap(({ findings }) => findings),
    verdict: snapshot.fleet.trust,
  };
}

export function fakeWhatIf(policy: string, minutes: number, nowMs: number): WhatIfResult {
  const figures = (label: string, name: string, factor: number): WhatIfFigures => ({
    label,
    policy: name,
    requests: 4810,
    ttftMeanMs: 402 * factor,
    ttftP50Ms: 310 * factor,
    ttftP90Ms: 770 * factor,
    ttftP99Ms: 1490 * factor,
    prefixHitRate: 0.684 / Math.sqrt(factor),
    imbalance: 1.2 * factor,
  });
  return {
    request: { policy, minutes },
    fromMs: nowMs - minutes * 60_000,
    toMs: nowMs,
    requests: 4810,
    verdict: `${policy} would have made the mean time to first token 1.8 times as long: 724 ms in place of 402 ms.`,
    happened: figures('What happened', 'foresee', 0.97),
    baseline: figures('The same policy, simulated', 'foresee', 1),
    asked: figures('Your question, simulated', policy, 1.8),
    notes: [
      'The engines are simulated with the speeds that the router has learnt.',
      'Requests arrive when they arrived; clients do not slow down.',
    ],
    tookMs: 2140,
  };
}

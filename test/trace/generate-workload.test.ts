import { describe, expect, it } from 'vitest';
import {
  type GenerateOptions,
  generateWorkload,
  isWorkloadName,
  ownRatePerS,
  type WorkloadName,
  workloadNames,
  workloadNotes,
  workloadSets,
} from '../../src/trace/generate-workload.ts';
import { infiniteCacheHitRate } from '../../src/trace/hit-ceilings.ts';
import { spreadOf, workloadStatistics } from '../../src/trace/statistics.ts';
import type { Workload, WorkloadRequest } from '../../src/trace/workload.ts';

const seed = 3;
const make = (name: WorkloadName, options?: GenerateOptions): Workload => generateWorkload(name, seed, options);

/** Prompts per group; a group shares its first block. */
const groupSizes = ({ requests }: Workload): number[] => {
  const sizes = new Map<number, number>();
  for (const { blockIds } of requests) sizes.set(blockIds[0]!, (sizes.get(blockIds[0]!) ?? 0) + 1);
  return [...sizes.values()].sort((a, b) => b - a);
};

const spread = (workload: Workload, of: (request: WorkloadRequest) => number) => spreadOf(workload.requests.map(of));

/** Asserts the mean within four standard deviations of a sample mean. */
function expectMean(workload: Workload, of: (request: WorkloadRequest) => number, mean: number): void {
  const found = spread(workload, of);
  const bound = (4 * found.cv * found.mean) / Math.sqrt(workload.requests.length) + 0.51;
  expect(Math.abs(found.mean - mean)).toBeLessThan(bound);
}

const isl = (request: WorkloadRequest): number => request.isl;
const osl = (request: WorkloadRequest): number => request.osl;

describe.each(workloadNames)('%s', (name) => {
  it('depends on seed and options alone', () => {
    expect(make(name, { requests: 300 })).toEqual(make(name, { requests: 300 }));
    expect(generateWorkload(name, seed + 1, { requests: 300 })).not.toEqual(make(name, { requests: 300 }));
  });

  it('has 3,000 requests, or one pass over its corpus', () => {
    expect(make(name).requests).toHaveLength(name.startsWith('gsp-') ? 1024 : 3000);
  });

  it('draws the same prompts for any rate and arrivals', () => {
    const lengths = (options: GenerateOptions): number[][] =>
      make(name, { requests: 200, ...options }).requests.map((request) => [request.isl, request.osl]);
    const own = lengths({});
    expect(lengths({ ratePerS: 50 })).toEqual(own);
    expect(lengths({ arrivals: { kind: 'gamma', ratePerS: 5, cv: 3 } })).toEqual(own);
    expect(lengths({ arrivals: { kind: 'all-at-once' } })).toEqual(own);
  });

  it('arrives at the requested rate, or at its own', () => {
    const own = ownRatePerS(name);
    for (const ratePerS of own === null ? [9] : [own, 9]) {
      const found = workloadStatistics(make(name, { requests: 3000, ratePerS }), 0).ratePerS;
      expect(Math.abs(found / ratePerS - 1)).toBeLessThan(0.2);
    }
    if (own === null) expect(make(name).requests.every(({ arrivalMs }) => arrivalMs === 0)).toBe(true);
  });
});

describe('PR #1731', () => {
  it('fixed: 10 prefixes, half of every prompt', () => {
    const workload = make('pr1731-fixed');
    expect(new Set(workload.requests.map(isl))).toEqual(new Set([7000]));
    expect(new Set(workload.requests.map(osl))).toEqual(new Set([100]));
    const sizes = groupSizes(workload);
    expect(sizes).toHaveLength(10);
    for (const size of sizes) expect(Math.abs(size - 300)).toBeLessThan(70);
    // 218 full blocks of 16 in 3,500 tokens, except for the first prompt of each prefix.
    expect(infiniteCacheHitRate(workload)).toBeCloseTo(((3488 / 7000) * 2990) / 3000, 9);
  });

  it('varied ISL: N(7,000, 2,000), at least 64 tokens after the prefix', () => {
    const workload = make('pr1731-isl');
    const { mean, cv } = spread(workload, isl);
    // Cutting at 3,564 raises the mean by about 45 and lowers the deviation slightly.
    expect(mean).toBeGreaterThan(6950);
    expect(mean).toBeLessThan(7200);
    expect(cv * mean).toBeGreaterThan(1750);
    expect(cv * mean).toBeLessThan(2000);
    expect(Math.min(...workload.requests.map(isl))).toBe(3564);
  });

  it('varied OSL: N(200, 120), at least 2', () => {
    const workload = make('pr1731-osl');
    const { mean, p50 } = spread(workload, osl);
    expect(Math.abs(mean - 203)).toBeLessThan(10);
    expect(Math.abs(p50 - 200)).toBeLessThan(10);
    expect(Math.min(...workload.requests.map(osl))).toBe(2);
  });
});

describe('generated shared prefixes', () => {
  it.each([
    ['gsp-64x16', 64, 16],
    ['gsp-4x256', 4, 256],
    ['gsp-1x1024', 1, 1024],
  ] as const)('%s: every group has its prompts, shuffled', (name, groups, prompts) => {
    const workload = make(name);
    expect(groupSizes(workload)).toEqual(new Array(groups).fill(prompts));
    expect(workload.requests.every((request) => isl(request) === 2176 && osl(request) === 256)).toBe(true);
    expect(infiniteCacheHitRate(workload)).toBeCloseTo(((2048 / 2176) * (1024 - groups)) / 1024, 9);
    if (groups === 1) return;
    const order = workload.requests.map(({ blockIds }) => blockIds[0]!);
    expect(order).not.toEqual([...order].sort((a, b) => a - b));
  });

  it('zipf: group r is drawn 1 / r as often', () => {
    const sizes = groupSizes(make('gsp-zipf'));
    const harmonic = (count: number): number =>
      Array.from({ length: count }, (_, i) => 1 / (i + 1)).reduce((sum, weight) => sum + weight);
    const share = (groups: number): number => sizes.slice(0, groups).reduce((sum, size) => sum + size) / 1024;
    for (const groups of [1, 8, 32]) expect(share(groups)).toBeCloseTo(harmonic(groups) / harmonic(64), 1);
  });

  it('repeats the whole corpus for more requests', () => {
    const { requests } = make('gsp-64x16', { requests: 2048 });
    const last = (from: number, to: number): number[] =>
      requests.slice(from, to).map(({ blockIds }) => blockIds.at(-1)!);
    expect(new Set(last(0, 1024)).size).toBe(1024);
    expect(new Set(last(1024, 2048))).toEqual(new Set(last(0, 1024)));
    expect(last(1024, 2048)).not.toEqual(last(0, 1024));
  });
});

describe('tenants and Zipf', () => {
  it.each([
    ['b2b-150x5', 250],
    ['b2b-150x5-long', 1000],
  ] as const)('%s: 150 systems of 6,000 tokens, 750 prompts drawn with replacement', (name, outputTokens) => {
    const workload = make(name, { requests: 6000 });
    expect(workload.requests.every((request) => isl(request) === 7200 && osl(request) === outputTokens)).toBe(true);
    expect(groupSizes(workload)).toHaveLength(150);
    expect(new Set(workload.requests.map(({ blockIds }) => blockIds.at(-1))).size).toBe(750);
    expect(infiniteCacheHitRate(workload)).toBeCloseTo(0.958, 2);
  });

  it('zipf: 500 prefixes of 4,096, the first one drawn most often', () => {
    const workload = make('zipf', { requests: 8000 });
    expect(workload.requests.every((request) => isl(request) === 4608)).toBe(true);
    expectMean(workload, osl, 150);
    const total = Array.from({ length: 500 }, (_, i) => (i + 1) ** -1.1).reduce((sum, weight) => sum + weight);
    const sizes = groupSizes(workload);
    expect(Math.abs((sizes[0]! / 8000) * total - 1)).toBeLessThan(0.1);
    expect(sizes.length).toBeGreaterThan(400);
    expect(sizes.length).toBeLessThanOrEqual(500);
  });
});

describe.each([
  ['multi-turn', 6, 1024, 7, 400, 300],
  ['multi-turn-long', 3, 4096, 11, 2500, 250],
] as const)('%s', (name, systems, systemTokens, turnsMean, messageTokens, answerTokens) => {
  const workload = make(name, { requests: 8000 });
  const sessions = new Map<number, WorkloadRequest[]>();
  for (const request of workload.requests) {
    sessions.set(request.session!, [...(sessions.get(request.session!) ?? []), request]);
  }

  it('has its system prompts and turns', () => {
    expect(groupSizes(workload)).toHaveLength(systems);
    // The last sessions are cut off.
    const turns = [...sessions.values()].slice(0, -100).map((session) => session.length);
    expect(Math.min(...turns)).toBeGreaterThanOrEqual(1);
    expect(Math.abs(spreadOf(turns).mean / turnsMean - 1)).toBeLessThan(0.15);
  });

  it('includes the whole conversation in the next prompt', () => {
    const messages: number[] = [];
    const broken: WorkloadRequest[] = [];
    for (const session of sessions.values()) {
      let said = systemTokens;
      let before = session[0]!.blockIds.subarray(0, Math.floor(systemTokens / 16));
      for (const turn of session) {
        const { blockIds } = turn;
        messages.push(turn.isl - said);
        said = turn.isl + turn.osl;
        const continues = before.every((id, block) => blockIds[block] === id);
        if (!continues || blockIds.length !== Math.floor(turn.isl / 16) || said > 131_072) broken.push(turn);
        before = blockIds;
      }
    }
    expect(broken).toEqual([]);
    expect(Math.min(...messages)).toBeGreaterThan(0);
    // exp(-0.3 + 0.8^2 / 2) = 1.02
    expect(Math.abs(spreadOf(messages).mean / messageTokens - 1.02)).toBeLessThan(0.06);
    expectMean(workload, osl, 1.02 * answerTokens);
  });
});

describe('tool-like', () => {
  const workload = make('tool-like', { requests: 20_000 });
  const share = (of: (request: WorkloadRequest) => boolean): number =>
    workload.requests.filter(of).length / workload.requests.length;
  const [tools, shortTools] = [0, 12];
  const chat = 17;
  const startsWith =
    (id: number) =>
    ({ blockIds }: WorkloadRequest): boolean =>
      blockIds[0] === id;

  it('mixes its three kinds', () => {
    expect(workload.contentBlockTokens).toBe(512);
    expect(share(startsWith(tools))).toBeCloseTo(0.42, 1);
    expect(share(startsWith(shortTools))).toBeCloseTo(0.17, 1);
    expect(share(startsWith(chat))).toBeCloseTo(0.41, 1);
    const short = workload.requests.filter(startsWith(shortTools));
    expect(short.every((request) => isl(request) >= 2960 && isl(request) <= 3359)).toBe(true);
    expect(short.every((request) => osl(request) >= 14 && osl(request) <= 25)).toBe(true);
    const long = workload.requests.filter(startsWith(tools));
    expect(long.every((request) => isl(request) > 6144 && isl(request) <= 26_144)).toBe(true);
    expect(long.filter((request) => osl(request) === 3).length / long.length).toBeCloseTo(0.55, 1);
  });

  it('has about the published lengths and sharing', () => {
    const lengths = spread(workload, isl);
    expect(Math.abs(lengths.mean / 7874 - 1)).toBeLessThan(0.06);
    expect(Math.abs(lengths.p50 / 6308 - 1)).toBeLessThan(0.01);
    expect(lengths.max).toBeLessThanOrEqual(120_000);
    expect(Math.abs(spread(workload, osl).mean / 174 - 1)).toBeLessThan(0.03);
    expect(Math.abs(infiniteCacheHitRate(workload) - 0.71)).toBeLessThan(0.02);
  });
});

describe('lengths only', () => {
  it('reasoning: 250 shared tokens and long answers', () => {
    const workload = make('reasoning', { requests: 10_000 });
    expect(groupSizes(workload)).toEqual([10_000]);
    expectMean(workload, isl, 1250);
    expect(Math.abs(spread(workload, osl).mean / 2480 - 1)).toBeLessThan(0.04);
    expect(spread(workload, osl).max).toBe(16_000);
  });

  it('elephants and mice: one in twenty is an elephant', () => {
    const { requests } = make('elephants-mice');
    const elephants = requests.filter((request) => isl(request) === 50_000 && osl(request) === 200).length;
    expect(requests.filter((request) => isl(request) === 512 && osl(request) === 128).length + elephants).toBe(3000);
    expect(elephants / 3000).toBeCloseTo(0.05, 2);
  });

  it('prefix-free: nothing shared, mean 2,000', () => {
    const workload = make('prefix-free', { requests: 10_000 });
    expectMean(workload, isl, 2000);
    expect(workload.blockIdCount).toBe(0);
  });
});

describe('generateWorkload', () => {
  it('limits the requests in flight in a closed loop', () => {
    const workload = make('pr1731-fixed', { requests: 10, arrivals: { kind: 'closed-loop', concurrency: 4 } });
    expect(workload.concurrencyMax).toBe(4);
    expect(workload.requests.every(({ arrivalMs }) => arrivalMs === 0)).toBe(true);
  });

  it('begins with the same requests for any count', () => {
    for (const name of ['zipf', 'multi-turn', 'tool-like'] as const) {
      const few = make(name, { requests: 100 }).requests;
      expect(make(name, { requests: 400 }).requests.slice(0, 100)).toEqual(few);
    }
  });

  it('refuses invalid options', () => {
    expect(() => make('zipf', { requests: 0 })).toThrow(/requests/);
    expect(() => make('zipf', { ratePerS: -1 })).toThrow(/ratePerS/);
    expect(() => make('zipf', { ratePerS: 1, arrivals: { kind: 'all-at-once' } })).toThrow(/ratePerS/);
  });

  it('recognizes its names', () => {
    expect(isWorkloadName('zipf')).toBe(true);
    expect(isWorkloadName('toString')).toBe(false);
  });
});

describe('agents', () => {
  const workload = make('agents', { requests: 6000 });
  const steps = workload.requests.filter((request) => isl(request) > 40_000);
  const shared = 18_000 / 16;

  it('has 40 % steps behind 18,000 shared tokens, contexts of 30,000 to 78,000 of their own', () => {
    expect(Math.abs(steps.length / 6000 - 0.4)).toBeLessThan(0.03);
    for (const request of steps) {
      expect(isl(request)).toBeGreaterThanOrEqual(48_000);
      expect(isl(request)).toBeLessThanOrEqual(96_000);
    }
    const tools = steps[0]!.blockIds.subarray(0, shared);
    expect(steps.every(({ blockIds }) => blockIds.subarray(0, shared).every((id, at) => id === tools[at]))).toBe(true);
  });

  it('has 24 agents whose steps extend their last prompt, with 24 steps in between on average', () => {
    const last = new Map<number, { at: number; isl: number }>();
    let extended = 0;
    let gaps = 0;
    for (const [at, request] of steps.entries()) {
      const own = request.blockIds[shared]!;
      const before = last.get(own);
      if (before !== undefined) {
        extended++;
        gaps += at - before.at;
        const grown = isl(request) - before.isl;
        expect(grown).toBeGreaterThanOrEqual(300);
        expect(grown).toBeLessThanOrEqual(2500);
      }
      last.set(own, { at, isl: isl(request) });
    }
    expect(Math.abs(gaps / extended - 24)).toBeLessThan(2);
    expect(new Set(steps.slice(0, 400).map(({ blockIds }) => blockIds[shared])).size).toBeGreaterThanOrEqual(24);
  });

  it('chats behind one of 8 system prompts', () => {
    const chats = workload.requests.filter((request) => isl(request) <= 40_000);
    expect(new Set(chats.map(({ blockIds }) => blockIds[0])).size).toBe(8);
    expect(Math.abs(spread({ ...workload, requests: chats }, isl).mean - 1024 - 600)).toBeLessThan(60);
    expect(Math.abs(spread({ ...workload, requests: chats }, osl).mean - 250)).toBeLessThan(25);
  });
});

describe('drift', () => {
  it('uses a prefix for a while, and never again', () => {
    const { requests } = make('drift', { requests: 6000 });
    const seen = new Map<number, number[]>();
    for (const [at, { blockIds }] of requests.entries()) {
      seen.set(blockIds[0]!, [...(seen.get(blockIds[0]!) ?? []), at]);
    }
    // A prefix leaves after 60 newcomers, one every 12 requests.
    for (const times of seen.values()) expect(times.at(-1)! - times[0]!).toBeLessThan(60 * 12);
    expect(seen.size).toBeGreaterThan(6000 / 12);
    // The newest has 1 / H(60) = 0.214 of the requests.
    const sizes = groupSizes(make('drift', { requests: 12 }));
    expect(sizes.length).toBeGreaterThan(3);
    const isNewest = (at: number): boolean => {
      const newest = Math.max(...requests.slice(0, at + 1).map(({ blockIds }) => blockIds[0]!));
      return requests[at]!.blockIds[0] === newest;
    };
    const late = Array.from({ length: 300 }, (_, i) => 5000 + i).filter(isNewest).length;
    expect(late).toBeGreaterThan(30);
    expect(late).toBeLessThan(110);
  });
});

describe('rollouts', () => {
  it('come in groups of 4, 8 or 16 with one prompt and one arrival', () => {
    const { requests } = make('rollouts', { requests: 3000 });
    const groups = new Map<number, WorkloadRequest[]>();
    for (const request of requests) groups.set(request.arrivalMs, [...(groups.get(request.arrivalMs) ?? []), request]);
    const all = [...groups.values()];
    expect(new Set(all.slice(0, -1).map(({ length }) => length))).toEqual(new Set([4, 8, 16]));
    for (const group of all) {
      expect(new Set(group.map(isl)).size).toBe(1);
      expect(new Set(group.map(({ blockIds }) => blockIds.at(-1))).size).toBe(1);
    }
    const prompts = { ...make('rollouts'), requests: all.map(([first]) => first!) };
    expectMean(prompts, isl, 512 + 3000);
    expectMean(make('rollouts'), osl, 595);
    // All but the first of a group can be hits.
    expect(infiniteCacheHitRate(make('rollouts'))).toBeGreaterThan(0.85);
  });
});

describe('classification', () => {
  it('has 12 instructions, and 1 to 4 tokens out', () => {
    const workload = make('classification');
    expect(groupSizes(workload)).toHaveLength(12);
    expect(new Set(workload.requests.map(osl))).toEqual(new Set([1, 2, 3, 4]));
    expectMean(workload, isl, 1900);
    expect(Math.min(...workload.requests.map(isl))).toBeGreaterThan(1500);
  });
});

describe('documents', () => {
  it('has about 5 questions a reader, and a library that many read', () => {
    const workload = make('documents', { requests: 6000 });
    const sessions = new Map<number, WorkloadRequest[]>();
    for (const request of workload.requests) {
      sessions.set(request.session!, [...(sessions.get(request.session!) ?? []), request]);
    }
    const early = [...sessions.values()].slice(0, 1000);
    expect(Math.abs(early.reduce((sum, { length }) => sum + length, 0) / 1000 - 5)).toBeLessThan(0.5);
    for (const questions of early) {
      expect(new Set(questions.map(({ blockIds }) => blockIds.at(-1))).size).toBe(1);
      const lengths = questions.map(isl);
      expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(160);
    }
    const readers = new Map<number, number>();
    for (const [first] of early) readers.set(first!.blockIds.at(-1)!, (readers.get(first!.blockIds.at(-1)!) ?? 0) + 1);
    const library = [...readers.values()].filter((count) => count > 1);
    expect(library).toHaveLength(20);
    expect(Math.abs(library.reduce((sum, count) => sum + count, 0) / 1000 - 0.3)).toBeLessThan(0.06);
    expect(Math.max(...workload.requests.map(isl))).toBeLessThanOrEqual(61_000);
  });
});

describe('mixed outputs', () => {
  it('has 70 % outputs of 8 to 24 tokens, the others about 1,200', () => {
    const workload = make('mixed-outputs');
    const short = workload.requests.filter((request) => osl(request) >= 8 && osl(request) <= 24);
    expect(Math.abs(short.length / 3000 - 0.7)).toBeLessThan(0.04);
    const long = workload.requests.filter((request) => osl(request) > 24);
    expect(Math.abs(spread({ ...workload, requests: long }, osl).mean - 1200)).toBeLessThan(140);
    expect(groupSizes(workload)).toHaveLength(100);
  });
});

describe('workloadSets', () => {
  it('has a set of the 16 first workloads, and every workload once', () => {
    expect(workloadSets.classic).toHaveLength(16);
    expect([...workloadSets.classic, ...workloadSets.other]).toEqual(workloadNames);
    expect(workloadSets.all).toEqual(workloadNames);
    expect(Object.keys(workloadNotes)).toEqual(workloadSets.other);
  });
});

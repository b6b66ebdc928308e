// The gateway bench runs small: every router answers every request, and the texts are as described.

import { describe, expect, it } from 'vitest';
import { direct, measureGateways } from '../../bench/gateway/bench-gateway.ts';
import { Bodies, bodyShapes } from '../../bench/gateway/bodies.ts';
import { startCollectorSink } from '../../bench/gateway/collector-sink.ts';
import { bareRelay, everythingOn, traced, withoutTokens } from '../../bench/gateway/contenders.ts';
import { gatewayFigures, gatewayTable } from '../../bench/gateway/gateway-report.ts';
import { measurePairs } from '../../bench/gateway/paired-routers.ts';
import { TextWriter, textKinds, wordsOf } from '../../bench/gateway/texts.ts';
import { BlockHasher } from '../../src/core/index.ts';
import { loadBuiltinTokenizer } from '../../src/tokens/index.ts';

const build = { name: 'kvoyant', dist: 'dist' };

it('measures every router with every text without a failure', async () => {
  const said: string[] = [];
  const sink = await startCollectorSink();
  const measurements = await measureGateways({
    contenders: [everythingOn(build), traced(build, 1, sink.url), withoutTokens(build), bareRelay],
    texts: ['prose'],
    engines: 2,
    streams: [3],
    requestsAt: () => 12,
    warmUpRequests: 4,
    promptWords: 200,
    chunks: 5,
    chunkMs: 1,
    lockstep: true,
    seed: 7,
    rounds: 1,
    pin: false,
    say: (line) => said.push(line),
  });
  sink.close();
  expect(sink.bytes()).toBeGreaterThan(1000);
  const routers = [
    direct,
    'kvoyant, default policy',
    'kvoyant, default policy, 100 % traced',
    'kvoyant, round robin',
    bareRelay.name,
  ];
  expect([...new Set(measurements.map(({ router }) => router))], said.join('\n')).toEqual(routers);
  expect(measurements).toHaveLength(routers.length * bodyShapes.length);
  for (const { requests, failed, readsPerRequest } of measurements) {
    expect({ requests, failed }).toEqual({ requests: 6, failed: 0 });
    expect(readsPerRequest).toBeGreaterThanOrEqual(5);
  }
  const figures = gatewayFigures(measurements, bareRelay.name);
  expect(figures.map(({ router }) => router)).toEqual(routers.slice(1));
  if (process.platform === 'linux') expect(figures.every(({ residentMb }) => residentMb! > 10)).toBe(true);
  expect(gatewayTable(figures).split('\n')).toHaveLength(2 + 2 + figures.length);
}, 120_000);

it.runIf(process.platform === 'linux').each([false, true])(
  'compares routers in turns without a failure (started anew in every round: %s)',
  async (fresh) => {
    const said: string[] = [];
    const figures = await measurePairs({
      contenders: [everythingOn(build), bareRelay],
      text: 'prose',
      engines: 2,
      streams: 2,
      promptWords: 200,
      chunks: 2,
      rounds: 2,
      requests: 6,
      warmUpRequests: 4,
      fresh,
      pin: false,
      say: (line) => said.push(line),
    });
    expect(said).toHaveLength(2);
    expect(figures.map(({ router, failed }) => ({ router, failed }))).toEqual([
      { router: 'kvoyant, default policy', failed: 0 },
      { router: bareRelay.name, failed: 0 },
    ]);
    expect(figures[0]!.ratio).toBe(1);
    for (const { least, median } of figures) expect(median).toBeGreaterThanOrEqual(least);
  },
  120_000,
);

describe('the texts of the gateway bench', () => {
  it.each(textKinds)('are the same for the same seed and have many distinct words: %s', async (kind) => {
    const words = wordsOf(await loadBuiltinTokenizer());
    const text = new TextWriter(kind, words, 1).write(400_000);
    expect(new TextWriter(kind, words, 1).write(400_000) === text).toBe(true);
    expect(new Set(text.split(/\s+/)).size).toBeGreaterThan(20_000);
    expect(text.split(/\s+/)).toHaveLength(400_000);
  });

  it.each(bodyShapes)('share half of a prompt with the bodies of the same beginning (%s)', async (shape) => {
    const tokenizer = await loadBuiltinTokenizer();
    const words = wordsOf(tokenizer);
    const bodies = new Bodies({ kind: 'prose', words, promptWords: 1000, outputTokens: 1, seed: 1 });
    bodies.write(11, shape);
    const hasher = new BlockHasher();
    const [first, other, same] = [0, 1, 10].map((number) => bodies.blocksOf(number, tokenizer, hasher));
    const common = (query: typeof first): number => {
      let count = 0;
      while (query!.sequence[2 * count] === first!.sequence[2 * count]) count += 1;
      return count / first!.count;
    };
    expect(common(same)).toBeGreaterThan(0.4);
    expect(common(same)).toBeLessThan(0.6);
    expect(common(other)).toBeLessThan(0.1);
  });
});

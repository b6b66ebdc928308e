// Predicted against actual TTFT on a whole gateway: the same figures in decision records, on /workers and on /metrics.

import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { type SimWorkers, startSimWorkers } from '../../src/worker/index.ts';
import { atRest, getJson, Harness, post } from './harness.ts';

const model = 'sim-ttft';
const requestCount = 40;

let fleet: SimWorkers;
let harness: Harness;
let gateway: Gateway;

beforeEach(async () => {
  fleet = await startSimWorkers({ count: 2, port: 0, kvEventsPort: 0, model, speedup: 20 });
  harness = new Harness();
  const workers = fleet.workers.map(({ url }) => url);
  gateway = await harness.gateway({ workers, tokenizer: 'builtin', policy: 'foresee' }, workers.length, [model]);
});
afterEach(async () => {
  await atRest(gateway);
  await harness.end();
  await fleet.close();
});

function ask(number: number, stream: boolean): Promise<{ status: number }> {
  const prompt = Array.from({ length: 200 + 40 * (number % 9) }, (_, i) => (number * 977 + i * 13) % 50_000);
  return post(gateway, '/v1/completions', { model, prompt, stream, max_tokens: 3, ignore_eos: true });
}

type Speed = Readonly<
  Record<'forecasts' | 'ttftErrorShare' | 'ttftBiasShare' | 'prefillTokensPerS' | 'backlogMs', number>
>;

interface Made {
  readonly worker: string;
  readonly ttftMs: number | null;
  readonly predictedTtftMs: number | null;
  readonly predictedTpotMs: number | null;
  readonly choiceToFirstTokenMs: number | null;
  readonly candidates: readonly Readonly<Record<string, number>>[];
}

it("is recorded for every stream, with each candidate's terms in ms", async () => {
  for (let i = 0; i < requestCount; i += 4) {
    await Promise.all([ask(i, true), ask(i + 1, true), ask(i + 2, true), ask(i + 3, false)]);
  }
  const { decisions } = (await getJson(gateway, '/decisions')) as { decisions: readonly Made[] };
  expect(decisions).toHaveLength(requestCount);
  const compared = decisions.filter(({ choiceToFirstTokenMs }) => choiceToFirstTokenMs !== null);
  expect(compared).toHaveLength((requestCount / 4) * 3);
  for (const { ttftMs, predictedTtftMs, predictedTpotMs, choiceToFirstTokenMs, candidates } of compared) {
    expect([predictedTtftMs! > 0, predictedTpotMs! > 0, choiceToFirstTokenMs! > 0]).toEqual([true, true, true]);
    // The choice comes after the arrival.
    expect(ttftMs).toBeGreaterThanOrEqual(choiceToFirstTokenMs!);
    for (const { prefillMs, backlogMs, ttftMs: forecastMs, tpotMs, slowness } of candidates) {
      expect([prefillMs! > 0, backlogMs! >= 0, forecastMs! > 0, tpotMs! > 0, slowness! > 0]).toEqual(
        new Array(5).fill(true),
      );
    }
  }
  const { workers } = (await getJson(gateway, '/workers')) as {
    workers: readonly { id: string; speed: Speed }[];
  };
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  const value = (name: string, worker: string): number =>
    Number(new RegExp(`^${name}\\{worker="${worker}"\\} (\\S+)$`, 'm').exec(metrics)?.[1]);
  for (const { id, speed } of workers) {
    const own = compared.filter(({ worker }) => worker === id).length;
    expect(speed.forecasts).toBeGreaterThanOrEqual(own);
    expect(value('kvoyant_ttft_predictions_total', id)).toBe(speed.forecasts);
    expect(value('kvoyant_worker_slowness', id)).toBeGreaterThan(0);
    expect(value('kvoyant_prefill_backlog_seconds', id)).toBe(0);
    if (own === 0) continue;
    expect(value('kvoyant_ttft_prediction_error_ratio', id)).toBeCloseTo(speed.ttftErrorShare, 9);
    expect(value('kvoyant_ttft_prediction_bias_ratio', id)).toBeCloseTo(speed.ttftBiasShare, 9);
    expect(Math.abs(speed.ttftBiasShare)).toBeLessThanOrEqual(speed.ttftErrorShare + 1e-9);
    expect(speed.prefillTokensPerS).toBeGreaterThan(0);
  }
});

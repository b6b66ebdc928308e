import { expect, it } from 'vitest';
import { parsePolicySpec, runSpecDefaults, simulate } from '../../src/lab/index.ts';
import { predictionFigures } from '../../src/lab/prediction-figures.ts';
import { RequestLog } from '../../src/lab/request-log.ts';
import { resultOf } from '../../src/lab/run-result.ts';
import { generateWorkload } from '../../src/trace/generate-workload.ts';

function logOf(rows: readonly (readonly [actualMs: number, predictedMs: number])[]): RequestLog {
  const log = new RequestLog(rows.length);
  for (const [request, [actualMs, predictedMs]] of rows.entries()) {
    log.arrivalNs[request] = request * 1e9;
    log.firstTokenNs[request] = request * 1e9 + actualMs * 1e6;
    log.predictedTtftMs[request] = predictedMs;
    log.setFate(request, 'done');
  }
  return log;
}

it('compares predicted with actual TTFT, without the warm-up and requests without a prediction', () => {
  const log = logOf([
    [100, 900],
    [100, 150],
    [200, 100],
    [400, 400],
    [100, Number.NaN],
  ]);
  // Errors 0.5, 0.5 and 0; predicted 650 ms in all, actual 700.
  expect(predictionFigures(log, 1)).toEqual({
    requests: 3,
    mape: 0.3333333,
    apeP50: 0.5,
    bias: -0.07142857,
    regret: null,
  });
  log.setFate(1, 'too-long');
  expect(predictionFigures(log, 1)!.requests).toBe(2);
  expect(predictionFigures(logOf([[100, Number.NaN]]), 0)).toBeNull();
});

it('sums up the regret of the choices', () => {
  const log = logOf([
    [100, 100],
    [100, 100],
    [100, 100],
    [100, 100],
  ]);
  log.regretMs.set([70, 0, 30, Number.NaN]);
  expect(predictionFigures(log, 1)!.regret).toEqual({ requests: 2, meanMs: 15, p99Ms: 30, bestShare: 0.5 });
});

it("is in a run's result, with regret only under policies that predict for every candidate", () => {
  const workload = generateWorkload('drift', 1, { requests: 400, ratePerS: 8 });
  const figuresOf = (policy: string) => {
    const spec = { ...runSpecDefaults, policy: parsePolicySpec(policy) };
    return resultOf(workload, spec, simulate(workload, spec)).prediction;
  };
  const { requests, mape, bias, regret } = figuresOf('foresee')!;
  expect(requests).toBe(360);
  expect(mape!).toBeGreaterThan(0);
  expect(mape!).toBeLessThan(0.6);
  expect(Math.abs(bias!)).toBeLessThan(0.3);
  expect(regret!.bestShare).toBeGreaterThan(0.3);
  expect(figuresOf('round-robin')!.regret).toBeNull();
});

import { expect, it } from 'vitest';
import { predictionFigures } from '../../src/lab/prediction-figures.ts';
import { RequestLog } from '../../src/lab/request-log.ts';

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

it('compares predicted with actual TTFT, without the warm-up and what was not predicted', () => {
  const log = logOf([
    [100, 900],
    [100, 150],
    [200, 100],
    [400, 400],
    [100, Number.NaN],
  ]);
  // Errors 0.5, 0.5 and 0; predicted 650 ms in all, actual 700.
  expect(predictionFigures(log, 1)).toEqual({ requests: 3, mape: 0.3333333, apeP50: 0.5, bias: -0.07142857 });
  log.setFate(1, 'too-long');
  expect(predictionFigures(log, 1)!.requests).toBe(2);
  expect(predictionFigures(logOf([[100, Number.NaN]]), 0)).toBeNull();
});

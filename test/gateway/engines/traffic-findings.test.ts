// Findings from ordinary answers: logged at intervals, and ended when they are no longer true.

import { expect, it } from 'vitest';
import { type PromptCheck, TrafficFindings } from '../../../src/gateway/engines/traffic-findings.ts';

function noted(findings: TrafficFindings, check: PromptCheck, count: number, nowMs = 0): (string | undefined)[] {
  return Array.from({ length: count }, () => findings.note(check, nowMs)?.cause);
}

it('reports repeated differences of token counts, once a minute', () => {
  const findings = new TrafficFindings();
  expect(noted(findings, 'miscounted', 5)).toEqual([undefined, undefined, 'token-count', undefined, undefined]);
  expect(noted(findings, 'miscounted', 1, 61_000)).toEqual(['token-count']);
  expect(findings.current).toMatchObject([
    { cause: 'token-count', message: expect.stringContaining('6 of the last 6') },
  ]);
});

it('ends a finding when it is no longer true', () => {
  const findings = new TrafficFindings();
  noted(findings, 'miscounted', 16);
  noted(findings, 'as-predicted', 13);
  expect(findings.current).toMatchObject([{ cause: 'token-count' }]);
  noted(findings, 'as-predicted', 1);
  expect(findings.current).toEqual([]);
});

it('reports frequent wrong predictions, but not occasional ones', () => {
  const findings = new TrafficFindings();
  for (let i = 0; i < 20; i++) noted(findings, i % 2 ? 'mispredicted' : 'as-predicted', 1);
  expect(findings.current).toEqual([]);
  expect(noted(findings, 'mispredicted', 16)).toContain('cache-prediction');
});

// What ordinary answers show to be wrong: said once in a while, and over when it is no longer so.

import { expect, it } from 'vitest';
import { type PromptCheck, TrafficFindings } from '../../../src/gateway/engines/traffic-findings.ts';

function noted(findings: TrafficFindings, check: PromptCheck, count: number, nowMs = 0): (string | undefined)[] {
  return Array.from({ length: count }, () => findings.note(check, nowMs)?.cause);
}

it('a token count that differs again and again is said, once in a minute', () => {
  const findings = new TrafficFindings();
  expect(noted(findings, 'miscounted', 5)).toEqual([undefined, undefined, 'token-count', undefined, undefined]);
  expect(noted(findings, 'miscounted', 1, 61_000)).toEqual(['token-count']);
  expect(findings.current).toMatchObject([
    { cause: 'token-count', message: expect.stringContaining('6 of the last 6') },
  ]);
});

it('a finding ends when what it said is no longer so', () => {
  const findings = new TrafficFindings();
  noted(findings, 'miscounted', 16);
  noted(findings, 'as-predicted', 13);
  expect(findings.current).toMatchObject([{ cause: 'token-count' }]);
  noted(findings, 'as-predicted', 1);
  expect(findings.current).toEqual([]);
});

it('predictions that fail as a rule are said, and some that fail are not', () => {
  const findings = new TrafficFindings();
  for (let i = 0; i < 20; i++) noted(findings, i % 2 ? 'mispredicted' : 'as-predicted', 1);
  expect(findings.current).toEqual([]);
  expect(noted(findings, 'mispredicted', 16)).toContain('cache-prediction');
});

import { describe, expect, it } from 'vitest';
import { LimitReached } from '../../../src/gateway/exchange/limit-reached.ts';
import { errorOf, RemoteFault, sentError } from '../../../src/gateway/exchange/sent-error.ts';
import { outcomeOf, sentOutcome } from '../../../src/gateway/fronts/sent-outcome.ts';
import { toOwnMs, toSharedMs } from '../../../src/gateway/fronts/shared-clock.ts';
import type { RelayOutcome } from '../../../src/gateway/inference/attempt-outcome.ts';
import { RequestError } from '../../../src/wire/openai-error.ts';

const crossed = (error: unknown): Error => errorOf(structuredClone(sentError(error)));

describe('an error that crosses', () => {
  it('for the client stays what it is', () => {
    const error = new RequestError(429, 'queue_full', 'full', 'model', 7);
    expect(crossed(error)).toBeInstanceOf(RequestError);
    expect({ ...crossed(error) }).toEqual({ ...error });
    const limit = new LimitReached('answersBytesMax', 502, 'too_large', 'too much', 1);
    expect(crossed(limit)).toBeInstanceOf(LimitReached);
    expect({ ...crossed(limit) }).toEqual({ ...limit });
  });

  it('of a connection, or a fault, keeps its words and its code', () => {
    const refused = crossed(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
    expect(refused).toBeInstanceOf(RemoteFault);
    expect(refused).toMatchObject({ message: 'connect ECONNREFUSED', code: 'ECONNREFUSED' });
    expect(crossed('thrown text').message).toBe('thrown text');
  });
});

it('an outcome crosses whole', () => {
  const error = new RequestError(502, 'upstream_failed', 'cut');
  const outcomes: RelayOutcome[] = [
    { kind: 'answered', status: 200 },
    { kind: 'gone' },
    { kind: 'cut', status: 200, error },
    { kind: 'unanswered', failure: 'full', error, innocent: true },
  ];
  for (const outcome of outcomes) expect(outcomeOf(structuredClone(sentOutcome(outcome)))).toEqual(outcome);
});

it('a time crosses and comes back', () => {
  const nowMs = performance.now();
  expect(toOwnMs(toSharedMs(nowMs))).toBeCloseTo(nowMs, 3);
  expect(toSharedMs(nowMs)).toBeCloseTo(Number(process.hrtime.bigint()) / 1e6, -2);
});

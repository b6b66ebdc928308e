// Policies as text: accepted forms, and the errors for others.

import { describe, expect, it } from 'vitest';
import { labPolicyNames } from '../../src/core/index.ts';
import { parsePolicySpec } from '../../src/lab/index.ts';
import { policyOf } from '../../src/lab/policy-spec.ts';
import { oneRouter } from '../../src/lab/routers-spec.ts';

describe('parsePolicySpec', () => {
  it('reads options of the policy and of its router', () => {
    expect(parsePolicySpec('kv:form=1731:temperature=0.5:credit=off:event-delay-ms=50:book-delay-ms=2.5')).toEqual({
      text: 'kv:form=1731:temperature=0.5:credit=off:event-delay-ms=50:book-delay-ms=2.5',
      name: 'kv',
      options: { form: '1731', temperature: 0.5 },
      inFlightCredit: false,
      eventDelayMs: 50,
      bookDelayMs: 2.5,
      queuedMax: null,
      tenantReserveS: 30,
      joint: null,
      lateBinding: null,
      kvEvents: true,
      told: false,
      slowWorker: 'kept',
      routers: oneRouter,
    });
    const many =
      'foresee:routers=4:sharing=off:spread=prefix:chains=whole:router-delay-ms=50:router-pace=on:router-loss=0.01:router-restarts=on';
    expect(parsePolicySpec(many)).toMatchObject({
      options: {},
      routers: {
        routers: 4,
        sharing: false,
        spread: 'prefix',
        chains: 'whole',
        delayMs: 50,
        paced: true,
        loss: 0.01,
        restarts: true,
      },
    });
    expect(['kv:joint=on', 'kv:joint=off'].map((text) => parsePolicySpec(text).joint)).toEqual([true, false]);
    expect(parsePolicySpec('kv:events=none:slow-worker=drained')).toMatchObject({
      kvEvents: false,
      slowWorker: 'drained',
    });
    expect(parsePolicySpec('what-if:told=on').told).toBe(true);
    expect(parsePolicySpec('sglang-cache-aware:defaults=library:balance-abs=8').options).toEqual({
      defaults: 'library',
      balanceAbs: 8,
    });
  });

  it.each(labPolicyNames)('creates a policy from %s', (name) => {
    expect(policyOf(parsePolicySpec(name), { speeds: [2, 2], engine: undefined }).name).toBe(name);
  });

  it.each([
    ['best', '"best" is none of foresee, kv, round-robin'],
    ['kv:heat=1', '"heat" is none of overlap-weight, temperature, form, credit'],
    ['lmetric:form=1731', '"form" is none of credit'],
    ['kv:form=1732', 'form is one of 1895, 1731, not "1732"'],
    ['kv:temperature=', 'temperature is a number from 0 up, not ""'],
    ['kv:temperature=-1', 'temperature is a number from 0 up, not "-1"'],
    ['kv:credit=maybe', 'credit is one of on, off'],
    ['kv:book-delay-ms=soon', 'book-delay-ms is a number'],
    ['kv:told=on', '"told" is none of overlap-weight'],
    ['what-if:told=yes', 'told is one of on, off'],
    ['kv:events=some', 'events is one of kv, none'],
  ])('refuses %s', (text, message) => {
    expect(() => parsePolicySpec(text)).toThrow(message);
  });
});

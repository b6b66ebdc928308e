// The doctor and the what-if of the page: one at a time, and every way they can end.

import { describe, expect, it } from 'vitest';
import { DoctorDesk } from '../../../src/gateway/page/doctor-desk.ts';
import type { DoctorState, WhatIf } from '../../../src/gateway/page/page-data.ts';
import { type RunWhatIf, WhatIfDesk, type WhatIfSources } from '../../../src/gateway/page/what-if-desk.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const figures = {
  policy: 'kv',
  requests: 50,
  ttftP50Ms: 1,
  ttftP90Ms: 1,
  ttftP99Ms: 1,
  prefixHitRate: 0.5,
  imbalance: 1,
};

function whatIfDesk(run: RunWhatIf | null, more: Partial<WhatIfSources> = {}) {
  const states: WhatIf[] = [];
  const desk = new WhatIfDesk({
    ...{ run, policies: ['kv', 'foresee'], seed: 0, policy: () => 'foresee' },
    recording: () => ({ path: 'x', startMs: 0 }),
    workers: () => [],
    happened: () => ({ ...figures, ttftMeanMs: 90 }),
    nowMs: () => 600_000,
    changed: (state) => states.push(state),
    ...more,
  });
  return { desk, states };
}

describe('what if', () => {
  it('answers one question at a time with a verdict', async () => {
    let end: () => void = () => undefined;
    const { desk, states } = whatIfDesk(
      () =>
        new Promise((resolve) => {
          end = () =>
            resolve({
              requests: 50,
              baseline: { ...figures, policy: 'foresee', ttftMeanMs: 100 },
              asked: { ...figures, ttftMeanMs: 150 },
              notes: [],
            });
        }),
    );
    expect(desk.ask({ policy: 'kv', minutes: 10 }).kind).toBe('running');
    expect(() => desk.ask({ policy: 'kv', minutes: 10 })).toThrow(/one question at a time/);
    end();
    await turn();
    expect(states.map(({ kind }) => kind)).toEqual(['running', 'done']);
    expect(states.at(-1)).toMatchObject({
      result: {
        verdict: expect.stringMatching(/^kv would have been 50 % slower than foresee/),
        happened: { ttftMeanMs: 90 },
      },
    });
  });

  it('keeps why a run failed', async () => {
    const { desk } = whatIfDesk(() => Promise.reject(new Error('no room')));
    desk.ask({ policy: 'kv', minutes: 1 });
    await turn();
    expect(desk.state).toMatchObject({ kind: 'failed', message: 'no room' });
  });

  it('refuses wrong questions, and all without a recording', () => {
    const { desk } = whatIfDesk(() => Promise.reject(new Error('not reached')));
    for (const wrong of [
      null,
      {},
      { policy: 'none', minutes: 5 },
      { policy: 'kv', minutes: 0 },
      { policy: 'kv', minutes: 61 },
    ]) {
      expect(() => desk.ask(wrong), JSON.stringify(wrong)).toThrow(/must be/);
    }
    const off = whatIfDesk(() => Promise.reject(new Error('not reached')), { recording: () => null }).desk;
    expect(off.state).toMatchObject({ kind: 'off', howTo: expect.stringContaining('--record') });
    expect(() => off.ask({ policy: 'kv', minutes: 5 })).toThrow(/--record/);
  });
});

describe('the doctor', () => {
  it('examines one worker at a time and keeps what it found', async () => {
    const states: DoctorState[] = [];
    let end: () => void = () => undefined;
    const finding = { cause: 'events-off', message: 'it publishes no KV events' } as const;
    const desk = new DoctorDesk({
      examine: () =>
        new Promise((resolve) => {
          end = () => resolve([{ worker: 'w#0', sound: false, proof: ['usage'], findings: [finding], notes: ['n'] }]);
        }),
      engineOf: (worker) => (worker === 'w#0' ? { url: 'http://w' } : null),
      nowMs: () => 0,
      changed: (state) => states.push(state),
    });
    expect(() => desk.ask({ worker: 'x' })).toThrow(/no worker/);
    expect(() => desk.ask({})).toThrow(/must be the id/);
    desk.ask({ worker: 'w#0' });
    expect(() => desk.ask({ worker: 'w#0' })).toThrow(/one worker at a time/);
    end();
    await turn();
    expect(states.map(({ kind }) => kind)).toEqual(['running', 'done']);
    expect(desk.state).toMatchObject({
      findings: [{ cause: 'events-off', severity: 'bad', advice: expect.stringContaining('kv-events-config') }],
      lines: ['w#0 is faulty (proved by usage)', 'events-off: it publishes no KV events', 'note: n'],
    });
  });
});

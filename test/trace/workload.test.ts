import { describe, expect, it } from 'vitest';
import { checkWorkload, orderedWorkload, type Workload, type WorkloadRequest } from '../../src/trace/workload.ts';

const request = (arrivalMs: number, more: Partial<WorkloadRequest> = {}): WorkloadRequest => ({
  arrivalMs,
  isl: 40,
  osl: 1,
  blockIds: Int32Array.of(0, 1),
  ...more,
});

const workload = (requests: WorkloadRequest[], more: Partial<Workload> = {}): Workload => ({
  name: 'test',
  contentBlockTokens: 16,
  blockIdCount: 3,
  requests,
  notes: [],
  ...more,
});

describe('orderedWorkload', () => {
  it('sorts by arrival, keeps the order of equal times, and adjusts predecessors', () => {
    const draft = workload([
      request(30, { osl: 3 }),
      request(40, { osl: 4, after: { request: 0, thinkMs: 7 } }),
      request(10, { osl: 1 }),
      request(30, { osl: 5 }),
    ]);
    const { requests } = orderedWorkload(draft);
    expect(requests.map(({ osl }) => osl)).toEqual([1, 3, 5, 4]);
    expect(requests[3]!.after).toEqual({ request: 1, thinkMs: 7 });
  });

  it('leaves sorted requests unchanged', () => {
    const draft = workload([request(0), request(0), request(5)]);
    expect(orderedWorkload(draft)).toBe(draft);
  });
});

describe('checkWorkload', () => {
  it.each<[string, Workload, RegExp]>([
    ['arrivals out of order', workload([request(5), request(4)]), /order of arrival/],
    ['a negative arrival', workload([request(-1)]), /order of arrival/],
    ['no prompt', workload([request(0, { isl: 0 })]), /isl and osl/],
    ['half a token', workload([request(0, { osl: 1.5 })]), /isl and osl/],
    ['ids beyond the prompt', workload([request(0, { isl: 16 })]), /beyond the prompt/],
    ['an id that is not counted', workload([request(0)], { blockIdCount: 1 }), /blockIdCount/],
    ['a negative id', workload([request(0, { blockIds: Int32Array.of(-1) })]), /blockIdCount/],
    ['a request after itself', workload([request(0, { after: { request: 0, thinkMs: 0 } })]), /earlier one/],
    ['think time below 0', workload([request(0), request(0, { after: { request: 0, thinkMs: -1 } })]), /thinkMs/],
    ['blocks of no tokens', workload([request(0)], { contentBlockTokens: 0 }), /contentBlockTokens/],
    ['no concurrency', workload([request(0)], { concurrencyMax: 0 }), /concurrencyMax/],
  ])('refuses %s', (_, broken, message) => {
    expect(() => checkWorkload(broken)).toThrow(message);
  });

  it('accepts an id for a partial last block, and prompts with fewer ids', () => {
    const partial = request(0, { blockIds: Int32Array.of(0, 1, 2) });
    expect(() => checkWorkload(workload([partial, request(1, { blockIds: Int32Array.of() })]))).not.toThrow();
  });
});

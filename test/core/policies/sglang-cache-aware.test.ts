// SGLang's cache-aware routing: each rule on an example calculated by hand, and the failure of its older miss rule.

import { describe, expect, it } from 'vitest';
import { type DecisionReason, type PolicyRequest, Random } from '../../../src/core/index.ts';
import { type SglangCacheAwareOptions, sglangCacheAware } from '../../../src/core/policies/sglang-cache-aware.ts';
import { range } from '../router-harness.ts';
import { bookingOf, type Columns, candidatesOf, promptRequest } from './columns.ts';

/** A policy with its state, requests in flight set by hand. */
function drive(options: SglangCacheAwareOptions = {}) {
  const policy = sglangCacheAware(options);
  const state = policy.init();
  let order = 0;
  return {
    state,
    choose(request: PolicyRequest, ...rows: Columns[]): [worker: number, reason: DecisionReason] {
      const candidates = candidatesOf(...rows);
      const { position, reason } = policy.choose(request, candidates, new Random(1), state);
      return [candidates.worker[position]!, reason];
    },
    book(request: PolicyRequest, worker: number): void {
      policy.onBooked?.(state, bookingOf(worker, order++), request);
    },
    remove(worker: number): void {
      policy.onWorkerRemoved?.(state, worker);
    },
  };
}

const idle: Columns[] = [{}, {}, {}];
/** Ten tokens in blocks of 4: two blocks and a tail of 2. */
const ten = promptRequest(range(0, 10));

describe('sglang-cache-aware', () => {
  it('takes the owner of a match above the threshold', () => {
    const { choose, book } = drive({ cacheThreshold: 0.5 });
    book(ten, 1);
    // 8 of 10 tokens match.
    expect(choose(ten, {}, { runningRequests: 5 }, {})).toEqual([1, 'affinity']);
    // 4 of 10, then 4 of 8: 0.5 is not above 0.5.
    expect(choose(promptRequest([...range(0, 4), ...range(50, 56)]), {}, { runningRequests: 5 }, {})).toEqual([
      0,
      'tie',
    ]);
    expect(choose(promptRequest([...range(0, 4), ...range(50, 54)]), {}, { runningRequests: 5 }, {})).toEqual([
      0,
      'tie',
    ]);
    // 4 of 7.
    expect(choose(promptRequest([...range(0, 4), 50, 51, 52]), {}, { runningRequests: 5 }, {})).toEqual([
      1,
      'affinity',
    ]);
  });

  it('remembers the last worker that was sent the matched node', () => {
    const { choose, book } = drive();
    book(ten, 1);
    book(ten, 2);
    expect(choose(ten, ...idle)).toEqual([2, 'affinity']);
    book(promptRequest([...range(0, 4), ...range(50, 54)]), 0);
    expect(choose(ten, ...idle)).toEqual([2, 'affinity']);
    expect(choose(promptRequest(range(0, 4)), ...idle)).toEqual([0, 'affinity']);
  });

  it('takes the first candidate if the owner may not be chosen', () => {
    const { choose, book } = drive();
    book(ten, 1);
    expect(choose(ten, { worker: 0, runningRequests: 9 }, { worker: 2 })).toEqual([0, 'affinity']);
  });

  it('takes the fewest requests on a miss, then the fewest prompts so far, then the first', () => {
    const { choose, book } = drive();
    expect(choose(ten, { runningRequests: 1 }, {}, {})).toEqual([1, 'tie']);
    book(promptRequest([1]), 1);
    expect(choose(ten, { runningRequests: 1 }, {}, {})).toEqual([2, 'tie']);
    expect(choose(ten, { runningRequests: 1 }, {}, { runningRequests: 1 })).toEqual([1, 'cost']);
  });

  it('ignores affinity while the fleet is out of balance by both measures', () => {
    const rows = (...requests: number[]): Columns[] => requests.map((runningRequests) => ({ runningRequests }));
    const { choose, book } = drive({ defaults: 'library' });
    book(ten, 1);
    // A spread of 32 is not above 32; 33 is, and 33 > 1.1 x 0.
    expect(choose(ten, ...rows(0, 32, 0))[0]).toBe(1);
    expect(choose(ten, ...rows(0, 33, 1))).toEqual([0, 'cost']);
    // 36 > 32, but 400 is not above 1.1 x 364 = 400.4; above 1.1 x 363 = 399.3 it is.
    expect(choose(ten, ...rows(364, 400, 380))[0]).toBe(1);
    expect(choose(ten, ...rows(363, 400, 380))[0]).toBe(0);
  });

  it('has the defaults of the command line, or of the library if selected', () => {
    const rows: Columns[] = [{}, { runningRequests: 64 }, {}];
    const third = promptRequest([...range(0, 4), ...range(50, 56)]);
    const cli = drive();
    cli.book(ten, 1);
    // 4 of 10 tokens: above 0.3, not above 0.5. A spread of 64 is within 64, not within 32.
    expect(cli.choose(third, ...rows)).toEqual([1, 'affinity']);
    const library = drive({ defaults: 'library' });
    library.book(ten, 1);
    expect(library.choose(third, ...rows)[0]).toBe(0);
    expect(library.choose(ten, ...rows)[0]).toBe(0);
    expect(drive({ defaults: 'library', balanceAbs: 64 }).choose(ten, ...rows)[0]).toBe(0);
  });

  it('evicts blocks above the bound at intervals, the least recently used first', () => {
    const { state, choose, book } = drive({ treeTokensMax: 8, evictionIntervalMs: 1000 });
    const at = (tokens: number[], nowMs: number): PolicyRequest => promptRequest(tokens, 4, nowMs);
    book(at(range(0, 8), 5000), 1);
    book(at(range(100, 108), 5500), 1);
    book(at(range(0, 8), 5999), 1);
    expect(state.tree.blocksOf(1)).toBe(4);
    book(at(range(200, 203), 6000), 1);
    expect(state.tree.blocksOf(1)).toBe(4);
    book(at(range(200, 204), 6000), 2);
    expect([state.tree.blocksOf(1), state.tree.blocksOf(2)]).toEqual([2, 1]);
    expect(choose(promptRequest(range(0, 8)), ...idle)).toEqual([1, 'affinity']);
    expect(choose(promptRequest(range(100, 108)), ...idle)[1]).toBe('tie');
  });

  it('never holds more than its bound between two evictions', () => {
    const { state, book } = drive({ heldBlocksMax: 12 });
    for (const i of range(0, 4)) book(promptRequest(range(100 * i, 100 * i + 12)), i % 2);
    expect(state.tree.heldBlocks).toBe(12);
    // 13 blocks: each of the two keeps at most 12 / 2 / 2 = 3, its latest prompts.
    book(promptRequest(range(900, 904)), 0);
    expect([state.tree.blocksOf(0), state.tree.blocksOf(1)]).toEqual([1, 3]);
    state.tree.assertConsistent();
  });

  it('drops a worker that leaves, so that a new one with its index owns nothing', () => {
    const { state, choose, book, remove } = drive();
    book(ten, 1);
    remove(1);
    expect(choose(ten, ...idle)).toEqual([0, 'tie']);
    expect(state.tree.heldBlocks).toBe(0);
  });

  it('with the older miss rule gives every new prefix to an empty worker, however busy; today’s rule does not', () => {
    const busyNewcomer: Columns[] = [{ runningRequests: 1 }, { runningRequests: 2 }, { runningRequests: 30 }];
    const targets = (missRule: 'least-requests' | 'smallest-tree'): number[] => {
      const { choose, book } = drive({ missRule });
      for (const i of range(0, 20)) book(promptRequest(range(1000 * i, 1000 * i + 400)), i % 2);
      return range(0, 9).map((i) => {
        const fresh = promptRequest(range(90_000 + 100 * i, 90_100 + 100 * i));
        const [worker] = choose(fresh, ...busyNewcomer);
        book(fresh, worker);
        return worker;
      });
    };
    expect(targets('smallest-tree')).toEqual(new Array(9).fill(2));
    expect(targets('least-requests')).toEqual(new Array(9).fill(0));
  });
});

// Replicas that speak the protocol and mean harm: extreme loads, names twice, thousands of names, floods of prompts.

import { afterEach, describe, expect, it } from 'vitest';
import { ByteWriter } from '../../src/cluster/byte-writer.ts';
import { writeAdded, writeGauge, writeHead, writeTable } from '../../src/cluster/encode-message.ts';
import { Replica } from '../../src/cluster/index.ts';
import {
  allPromisedBlocksMax,
  allPromptsMax,
  allRunningPromptsMax,
  allWorkersMax,
  originsMax,
  promptsMax,
  totalMax,
} from '../../src/cluster/limits.ts';
import type { Added } from '../../src/cluster/message.ts';
import { createPolicy } from '../../src/core/policies/catalogue.ts';
import { Router } from '../../src/core/router.ts';
import { lingeringPromptsMax } from '../../src/core/shared-load.ts';

const blockSize = 16;
const worker = 'http://w0#0';
let router: Router;
let replica: Replica;
let sequence = 0;

function open(): void {
  router = new Router({ policy: createPolicy('foresee'), seed: 1 });
  for (let i = 0; i < 3; i++)
    router.addWorker({ id: `http://w${i}#0`, blockSize, capacityBlocks: 1000, source: 'events' });
  replica = new Replica({ origin: 'me', epoch: 1 });
  replica.addPool('model', router);
}

/** Whatever they said, nothing of it is left once they are silent. */
afterEach(() => {
  replica.tick(10_000);
  replica.tick(20_000);
  for (const load of router.loads()) {
    expect(load).toMatchObject({ othersBlocks: 0, othersPrefillTokens: 0, othersRequests: 0 });
  }
  router.assertConsistent();
});

/** Says the same load of every worker. */
function gauge(origin: string, workers: readonly string[], amount: number, computing: readonly number[] = []): string {
  const writer = new ByteWriter();
  const table = { version: ++sequence, pools: ['model'], workers: workers.map((name) => ({ pool: 0, worker: name })) };
  writeTable(writer, table);
  const bytes = writer.take();
  writer.clear();
  writeHead(writer, 'gauge', { origin, epoch: 1, sequence });
  const load = { activeTokens: amount, ownTokens: amount, prefillTokens: amount, prefillPairs: amount };
  const more = { runningRequests: amount, computedTokens: amount, computedPairs: amount };
  const totals = workers.map((_, at) => ({ at, ...load, ...more }));
  writeGauge(writer, { kind: 'gauge', about: '', table, totals, computing: [computing], running: [[]] }, bytes);
  return replica.receive(writer.take(), 0);
}

/** Also says of prompts that they are computed. */
function delta(origin: string, added: readonly Added[], computed: readonly number[] = []): string {
  const writer = new ByteWriter();
  writeHead(writer, 'delta', { origin, epoch: 1, sequence: ++sequence });
  const [noTotals, noneFreed, pool] = [0, 0, 0];
  for (const word of [replica.origin(origin)!.table!.version, noTotals, computed.length]) writer.integer(word);
  for (const number of computed) for (const word of [pool, number]) writer.integer(word);
  writer.integer(noneFreed);
  for (const one of added) writeAdded(writer, one, one.sequence, one.sequence.length / 2);
  return replica.receive(writer.take(), 0);
}

function prompts(count: number, blocks: number): Added[] {
  return Array.from({ length: count }, () => {
    const number = ++sequence;
    const hashes = Uint32Array.from({ length: 2 * blocks }, (_, i) => (i % 2 === 0 ? i : number));
    return { at: 0, number, blockSize, sampled: false, sequence: hashes };
  });
}

/** Prompts being computed, and computed ones. */
function inFlight(): number[] {
  const { origins } = replica.view(0);
  const sum = (of: (one: (typeof origins)[number]) => number): number => origins.reduce((all, one) => all + of(one), 0);
  return [sum(({ promisedPrompts }) => promisedPrompts), sum(({ runningPrompts }) => runningPrompts)];
}

describe('strangers among replicas', () => {
  it('can claim the largest loads, all of them, and take them back', () => {
    open();
    for (let i = 0; i < originsMax; i++) expect(gauge(`evil${i}`, [worker], totalMax - i)).toBe('applied');
    expect(gauge('one too many', [worker], 1)).toBe('full');
    expect(router.load(0).othersRequests).toBeGreaterThan(totalMax);
    expect(gauge('evil0', [worker], totalMax + 1)).toBe('unreadable');
    const hashes = [{ blockSize, count: 0, sequence: new Uint32Array(0), blockTokens: blockSize }];
    const routed = router.route({ prompts: [{ isl: 10, hashes }] }, 0);
    if (routed.kind === 'refused') throw new Error(routed.reason);
    expect(routed.decision.worker).not.toBe(0);
    for (const { cost } of routed.decision.candidates()) expect(Number.isFinite(cost)).toBe(true);
    for (const booking of routed.bookings) router.release(booking, 'done', 0);
  });

  it('cannot name a worker twice: its loads would not add up exactly', () => {
    open();
    const twice = Array.from({ length: 4000 }, () => worker);
    expect(gauge('evil', twice, totalMax - 1)).toBe('unreadable');
    expect(gauge('evil', ['strange', 'other', 'strange'], 1)).toBe('unreadable');
    expect(gauge('evil', [worker, 'strange'], 7)).toBe('applied');
    expect(replica.tick(2000)).toHaveLength(1);
  });

  it('cannot list a prompt twice', () => {
    open();
    expect(gauge('evil', [worker], 1, [0, 5, 5])).toBe('unreadable');
    expect(gauge('evil', [worker], 1, [0, 5, 6])).toBe('applied');
  });

  it('can list only so many workers together', () => {
    open();
    const perTable = 4000;
    const fit = Math.floor(allWorkersMax / perTable);
    const table = (i: number): string[] => Array.from({ length: perTable }, (_, at) => `http://${i}-${at}`);
    for (let i = 0; i < fit; i++) expect(gauge(`evil${i}`, table(i), 1)).toBe('applied');
    expect(gauge('late', table(0), 1)).toBe('full');
    expect(gauge('evil0', table(7), 1)).toBe('applied');
    expect(gauge('honest', [worker], 1)).toBe('applied');
    replica.tick(2000);
    expect(gauge('late', table(0), 1)).toBe('applied');
  });

  it('can promise only so many prompts together, and those that are computed linger only in part', () => {
    open();
    const fresh = (): Added[] => prompts(promptsMax, 1);
    const floods = allPromptsMax / promptsMax;
    const sent = Array.from({ length: floods }, fresh);
    for (const [i, all] of sent.entries()) {
      gauge(`evil${i}`, [worker], 1);
      delta(`evil${i}`, all);
    }
    gauge('late', [worker], 1);
    delta('late', fresh());
    expect(inFlight()).toEqual([allPromptsMax, 0]);
    for (let round = 0; round < 2; round++) {
      for (const [i, all] of sent.entries()) {
        const computed = all.map(({ number }) => number);
        sent[i] = fresh();
        delta(`evil${i}`, [], computed);
        delta(`evil${i}`, sent[i]);
      }
    }
    expect(inFlight()).toEqual([allPromptsMax, allRunningPromptsMax]);
    expect(router.shared.lingering).toBe(lingeringPromptsMax);
  });

  it('can promise only so many blocks together', () => {
    open();
    const blocks = 100_000;
    const per = 8;
    for (let i = 0; i < allPromisedBlocksMax / blocks / per + 3; i++) {
      gauge(`evil${i}`, [worker], 1);
      for (let round = 0; round < per; round++) delta(`evil${i}`, prompts(1, blocks));
    }
    expect(inFlight()).toEqual([allPromisedBlocksMax / blocks, 0]);
  });
});

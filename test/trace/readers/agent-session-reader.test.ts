import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readWorkload } from '../../../src/trace/read-workload.ts';
import type { Workload } from '../../../src/trace/workload.ts';
import { traceFiles } from '../trace-files.ts';

const files = traceFiles();

/** Blocks of 10 tokens; 8 x 10 tokens of tools and system prompt, of which 6 blocks are shared. */
const session = (requests: readonly unknown[], more = {}) => ({
  id: 'trace_0001',
  block_size: 10,
  hash_id_scope: 'local',
  tool_tokens: 60,
  system_tokens: 20,
  requests,
  ...more,
});

const ids = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

const request = (t: number, blocks: readonly number[], more = {}) => ({
  t,
  type: 'n',
  in: 10 * blocks.length + 3,
  out: 7,
  hash_ids: blocks,
  api_time: 2,
  think_time: 0,
  ...more,
});

let folders = 0;
async function read(...sessions: readonly unknown[]): Promise<Workload> {
  const name = `sessions-${folders++}`;
  await mkdir(join(files.folder, name));
  for (const [i, value] of sessions.entries()) await files.write(`${name}/${i}.json`, JSON.stringify(value));
  return readWorkload(join(files.folder, name), { seed: 1 });
}

describe('agent sessions', () => {
  it('waits for the previous request and for its think time, at most a minute', async () => {
    const { requests, notes, kvTokensPerWorker } = await read(
      session([
        request(0, ids(1, 10)),
        request(7, ids(1, 12), { think_time: 5 }),
        request(500, ids(1, 14), { think_time: 491 }),
        request(504, ids(1, 15), { think_time: undefined }),
      ]),
    );
    const [first] = requests;
    expect(requests.map(({ after }) => after)).toEqual([
      undefined,
      { request: 0, thinkMs: 5000 },
      { request: 1, thinkMs: 60_000 },
      { request: 2, thinkMs: 2000 },
    ]);
    expect(requests.map(({ arrivalMs }) => arrivalMs - first!.arrivalMs)).toEqual([0, 7000, 69_000, 73_000]);
    expect(requests.every((one) => one.session === 0)).toBe(true);
    expect(notes[0]).toBe('format: agent session JSON');
    expect(kvTokensPerWorker).toBe(1_500_000);
  });

  it('shares three quarters of tools and system prompt between sessions with equal tools', async () => {
    const { requests } = await read(
      session([request(0, ids(1, 11)), request(3, ids(1, 12))]),
      session([request(0, ids(1, 11))]),
      session([request(0, ids(1, 11))], { tool_tokens: 61 }),
      session([request(0, ids(1, 11))], { system_tokens: 0 }),
    );
    const first = (index: number): Int32Array => requests.filter((one) => one.session === index)[0]!.blockIds;
    const sharedWith = (index: number): number => {
      const different = first(index).findIndex((id, block) => id !== first(0)[block]);
      return different === -1 ? first(0).length : different;
    };
    expect([1, 2, 3].map(sharedWith)).toEqual([6, 0, 4]);
    const [, second] = requests.filter((one) => one.session === 0);
    expect(second!.blockIds.subarray(0, 10)).toEqual(first(0));
  });

  it('runs a sub-agent in parallel with the requests that follow it', async () => {
    const { requests } = await read(
      session([
        request(0, ids(1, 10)),
        {
          t: 9,
          type: 'subagent',
          duration_ms: 6000,
          tool_tokens: 30,
          system_tokens: 10,
          requests: [request(0, ids(70, 75)), request(4, ids(70, 76), { think_time: 2 })],
        },
        request(12, ids(1, 12), { think_time: 10 }),
      ]),
    );
    const found = requests.map(({ arrivalMs, session: run, after }) => [
      arrivalMs - requests[0]!.arrivalMs,
      run,
      after?.request,
      after?.thinkMs,
    ]);
    expect(found).toEqual([
      [0, 0, undefined, undefined],
      [3000, 1, 0, 1000],
      [7000, 1, 1, 2000],
      [12_000, 0, 0, 10_000],
    ]);
  });

  it('cuts long outputs, and skips sessions with a prompt that is too long', async () => {
    const huge = request(0, [], { in: 180_001 });
    const { requests, notes } = await read(
      session([request(0, ids(1, 10), { out: 9000 }), request(2, ids(1, 10), { out: 0 })]),
      session([huge]),
      session([
        request(0, ids(1, 10)),
        { t: 1, type: 'subagent', duration_ms: 1, tool_tokens: 0, system_tokens: 0, requests: [huge] },
      ]),
    );
    expect(requests.map(({ osl }) => osl)).toEqual([4000, 1]);
    expect(notes).toContain('2 sessions with a prompt over 180000 tokens left out');
    expect(notes).toContain('1 outputs cut at 4000 tokens');
  });

  it('draws the starts of sessions by the seed', async () => {
    const workload = await read(...ids(0, 200).map(() => session([request(0, ids(1, 10))])));
    expect(Math.abs(workload.requests.at(-1)!.arrivalMs / 200_000 - 1)).toBeLessThan(0.25);
  });

  it('reads a file with many lines', async () => {
    const path = await files.write('pretty.json', JSON.stringify(session([request(0, ids(1, 10))]), null, 2));
    expect((await readWorkload(path)).requests).toHaveLength(1);
  });

  it.each<[string, unknown, RegExp]>([
    ['a type', session([{ ...request(0, []), type: undefined }]), /requests\[0\]: type is missing/],
    ['its ids', session([request(0, ids(1, 10), { in: 20 })]), /requests\[0\]: hash_ids: 9 ids for 20 tokens/],
    ['a local scope', session([], { hash_id_scope: 'global' }), /hash_id_scope: must be local/],
    ['requests', session([], { requests: 3 }), /requests: must be a list/],
    ['a request', session([7]), /requests\[0\]: must be a JSON object/],
    ['the duration of a sub-agent', session([{ t: 0, type: 'subagent' }]), /duration_ms is missing/],
    ['equal block sizes', session([], { block_size: 11 }), /1\.json: block_size: 11, but 10/],
  ])('reports a missing %s', async (_, broken, message) => {
    await expect(read(session([request(0, ids(1, 10))]), broken)).rejects.toThrow(message);
  });
});

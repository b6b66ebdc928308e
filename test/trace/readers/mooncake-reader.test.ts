import { describe, expect, it } from 'vitest';
import { readWorkload } from '../../../src/trace/read-workload.ts';
import { traceFiles } from '../trace-files.ts';

const files = traceFiles();
const read = async (rows: readonly unknown[], options = {}) =>
  readWorkload(await files.writeLines('trace.jsonl', rows), options);

const row = { timestamp: 0, input_length: 1000, output_length: 10, hash_ids: [5, 9] };

describe('Mooncake JSONL', () => {
  it('numbers blocks by first appearance', async () => {
    const { requests, contentBlockTokens, blockIdCount, kvTokensPerWorker } = await read([
      row,
      { ...row, hash_ids: [5, 2] },
      { ...row, hash_ids: [5, 9] },
    ]);
    expect(requests.map(({ blockIds }) => [...blockIds])).toEqual([
      [0, 1],
      [0, 2],
      [0, 1],
    ]);
    expect({ contentBlockTokens, blockIdCount, kvTokensPerWorker }).toEqual({
      contentBlockTokens: 512,
      blockIdCount: 3,
      kvTokensPerWorker: 2_000_000,
    });
  });

  it('accepts the other names of its fields', async () => {
    const { requests } = await read([{ created_time: 7, input_tokens: 3, output_tokens: 4, hash_ids: [1] }]);
    expect(requests).toEqual([{ arrivalMs: 0, isl: 3, osl: 4, blockIds: Int32Array.of(0) }]);
  });

  it('shares nothing without hash_ids, and answers at least one token', async () => {
    const { requests, notes } = await read([{ timestamp: 0, input_length: 9000, output_length: 0 }]);
    expect(requests[0]).toMatchObject({ blockIds: new Int32Array(0), osl: 1 });
    expect(notes).toContain('1 requests without any output are given 1 output token');
  });

  it('reads other block sizes if given', async () => {
    const { contentBlockTokens } = await read([{ ...row, input_length: 100 }], { blockTokens: 64 });
    expect(contentBlockTokens).toBe(64);
  });

  it('makes the turns of a session follow each other by delay, else by timestamps', async () => {
    const { requests } = await read([
      { ...row, session_id: 'a', timestamp: 1000 },
      { ...row, session_id: 'b', timestamp: 1500 },
      { ...row, session_id: 'a', delay: 250 },
      { ...row, session_id: 'b', timestamp: 4000 },
      { ...row, session_id: 'a', delay_ms: 20, timestamp: 3000 },
    ]);
    expect(requests.map(({ arrivalMs, session, after }) => [arrivalMs, session, after])).toEqual([
      [0, 0, undefined],
      [250, 0, { request: 0, thinkMs: 250 }],
      [500, 1, undefined],
      [2000, 0, { request: 1, thinkMs: 20 }],
      [3000, 1, { request: 2, thinkMs: 2500 }],
    ]);
  });

  it.each<[string, unknown, RegExp]>([
    [
      'text for a number',
      { ...row, input_length: 'many' },
      /:2: input_length: must be an integer from 1 up, got "many"/,
    ],
    ['no prompt', { ...row, input_length: 0 }, /:2: input_length/],
    ['no length', { timestamp: 0, output_length: 1 }, /:2: input_length or input_tokens is missing/],
    ['a negative time', { ...row, timestamp: -1 }, /:2: timestamp: must be a number from 0 up/],
    ['no time', { ...row, timestamp: null }, /:2: timestamp or created_time is missing/],
    ['half an id', { ...row, hash_ids: [0.5, 1] }, /:2: hash_ids: must be a list of integers/],
    [
      'ids of other blocks',
      { ...row, hash_ids: [1, 2, 3] },
      /:2: hash_ids: 3 ids do not make 1000 tokens in blocks of 512/,
    ],
    ['no object', [1], /:2: must be a JSON object/],
  ])('refuses %s', async (_, broken, message) => {
    await expect(read([row, broken])).rejects.toThrow(message);
    await expect(read([row, broken])).rejects.toMatchObject({ code: 'trace-invalid' });
  });

  it('refuses turns without a time, or earlier than the previous one', async () => {
    const turn = { ...row, session_id: 'a' };
    await expect(read([turn, { ...turn, timestamp: undefined }])).rejects.toThrow(/:2: delay/);
    await expect(read([{ ...turn, timestamp: 9 }, turn])).rejects.toThrow(/:2: timestamp: earlier/);
  });

  it('refuses a truncated line', async () => {
    const path = await files.write('cut.jsonl', `${JSON.stringify(row)}\n{"timestamp": 3`);
    await expect(readWorkload(path)).rejects.toThrow(/cut\.jsonl:2: not JSON/);
  });
});

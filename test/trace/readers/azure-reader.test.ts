import { describe, expect, it } from 'vitest';
import { readWorkload } from '../../../src/trace/read-workload.ts';
import { traceFiles } from '../trace-files.ts';

const files = traceFiles();
const header = 'TIMESTAMP,ContextTokens,GeneratedTokens';
const read = async (...lines: string[]) => readWorkload(await files.write('azure.csv', lines.join('\r\n')));

describe('Azure CSV', () => {
  it('reads lengths and times, and shares nothing', async () => {
    const { requests, notes, blockIdCount } = await read(
      header,
      '2023-11-16 18:17:03.9799600,4808,10',
      '2023-11-16 18:17:04.0319600,3180,8',
      '2023-11-17 00:17:03.9799600,1,0',
    );
    expect(requests.map(({ isl, osl, blockIds }) => [isl, osl, blockIds.length])).toEqual([
      [4808, 10, 0],
      [3180, 8, 0],
      [1, 1, 0],
    ]);
    expect(requests[1]!.arrivalMs).toBeCloseTo(52, 3);
    expect(requests[2]!.arrivalMs).toBeCloseTo(6 * 3_600_000, 3);
    expect(notes[0]).toBe('format: Azure LLM inference CSV');
    expect(blockIdCount).toBe(0);
  });

  it('accepts columns in any order, further columns, and time zones', async () => {
    const { requests } = await read(
      'id,GeneratedTokens,ContextTokens,TIMESTAMP',
      'a,2,20,2024-05-10 02:00:00.5+02:00',
      'b,3,30,2024-05-10 00:00:01Z',
    );
    expect(requests.map(({ arrivalMs, isl, osl }) => [arrivalMs, isl, osl])).toEqual([
      [0, 20, 2],
      [500, 30, 3],
    ]);
  });

  it.each([
    ['a time', 'yesterday,1,1', /:2: TIMESTAMP: must be like/],
    ['a date', '2023-13-16 18:17:03,1,1', /:2: TIMESTAMP: must be like/],
    ['a length', '2023-11-16 18:17:03,1e3,1', /:2: ContextTokens: must be an integer from 1 up, got 1e3/],
    ['an empty prompt', '2023-11-16 18:17:03,0,1', /:2: ContextTokens/],
    ['a negative output', '2023-11-16 18:17:03,1,-1', /:2: GeneratedTokens/],
    ['a row', '2023-11-16 18:17:03,1', /:2: 2 cells in 3 columns/],
  ])('refuses what is not %s', async (_, line, message) => {
    await expect(read(header, line)).rejects.toThrow(message);
  });
});

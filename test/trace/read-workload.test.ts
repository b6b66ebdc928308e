import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { readWorkload } from '../../src/trace/read-workload.ts';
import { traceFiles } from './trace-files.ts';

const files = traceFiles();

const mooncake = [
  { timestamp: 3000, input_length: 1200, output_length: 5, hash_ids: [0, 1, 2] },
  { timestamp: 3000, input_length: 600, output_length: 6, hash_ids: [0, 3] },
  { timestamp: 6000, input_length: 512, output_length: 7, hash_ids: [0] },
];
const text = mooncake.map((row) => JSON.stringify(row)).join('\n');

describe('readWorkload', () => {
  it('reads a file plain or gzipped, with any line ends, and reports its format', async () => {
    const plain = await readWorkload(await files.write('plain.jsonl', text));
    expect(plain.name).toBe('plain.jsonl');
    expect(plain.notes).toEqual(['format: Mooncake JSONL']);
    expect(plain.requests.map(({ arrivalMs, isl, osl }) => [arrivalMs, isl, osl])).toEqual([
      [0, 1200, 5],
      [0, 600, 6],
      [3000, 512, 7],
    ]);
    const inMembers = Buffer.concat([gzipSync(text.slice(0, 50)), gzipSync(text.slice(50))]);
    for (const content of [`${text}\n\n`, text.replaceAll('\n', '\r\n'), gzipSync(text), inMembers]) {
      const { requests } = await readWorkload(await files.write('other', content));
      expect(requests).toEqual(plain.requests);
    }
  });

  it('takes a folder as one workload', async () => {
    const folder = join(files.folder, 'shards');
    await mkdir(folder);
    await files.writeLines('shards/a.jsonl', mooncake.slice(0, 2));
    await files.write('shards/b.jsonl.gz', gzipSync(JSON.stringify(mooncake[2])));
    const { name, requests, blockIdCount } = await readWorkload(folder);
    expect(name).toBe('shards');
    expect(requests).toHaveLength(3);
    expect(blockIdCount).toBe(4);
  });

  it('limits requests, adds jitter and speeds up', async () => {
    const path = await files.write('options.jsonl', text);
    expect((await readWorkload(path, { requests: 2 })).requests).toHaveLength(2);
    expect((await readWorkload(path, { speed: 10 })).requests[2]!.arrivalMs).toBe(300);
    const jittered = await readWorkload(path, { jitterMs: 3000, seed: 5 });
    expect(new Set(jittered.requests.map(({ arrivalMs }) => arrivalMs)).size).toBe(3);
    expect(await readWorkload(path, { jitterMs: 3000, seed: 5 })).toEqual(jittered);
    expect(await readWorkload(path, { jitterMs: 3000, seed: 6 })).not.toEqual(jittered);
  });

  it('reports an unknown format and the accepted ones', async () => {
    const path = await files.write('unknown.txt', 'a,b,c\n1,2,3\n');
    const unknown = readWorkload(path);
    await expect(unknown).rejects.toMatchObject({ name: 'TraceError', code: 'trace-unknown' });
    await expect(unknown).rejects.toThrow(/unknown\.txt: unknown format; it begins with a,b,c.*Mooncake JSONL.*Azure/s);
  });

  it.each<[string, string | Uint8Array, string]>([
    ['an empty file', '', 'trace-unknown'],
    ['a header alone', 'TIMESTAMP,ContextTokens,GeneratedTokens\n', 'trace-invalid'],
    ['a truncated gzip', gzipSync(text).subarray(0, 60), 'trace-unreadable'],
    ['a broken gzip', Buffer.concat([gzipSync(text).subarray(0, 20), Buffer.alloc(40, 1)]), 'trace-unreadable'],
  ])('refuses %s', async (name, content, code) => {
    const path = await files.write(name.replaceAll(' ', '-'), content);
    await expect(readWorkload(path)).rejects.toMatchObject({ code, message: expect.stringContaining(path) });
  });

  it('refuses a missing file', async () => {
    const missing = join(files.folder, 'missing');
    await expect(readWorkload(missing)).rejects.toMatchObject({ code: 'trace-unreadable' });
    const empty = join(files.folder, 'empty');
    await mkdir(empty);
    await expect(readWorkload(empty)).rejects.toThrow(/folder without files/);
  });
});

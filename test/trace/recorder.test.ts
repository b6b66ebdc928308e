import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockHasher } from '../../src/core/blocks/block-hash.ts';
import { readWorkload } from '../../src/trace/read-workload.ts';
import { decodeRequest, encodeRequest, RequestRecorder } from '../../src/trace/recorder.ts';
import { traceFiles } from './trace-files.ts';

const files = traceFiles();
const hasher = new BlockHasher();
const blockTokens = 4;
const header = '{"format":"kvoyant-recording","version":1,"blockTokens":4}';

interface Recorded {
  readonly arrivalMs: number;
  readonly prompt: number[];
  readonly osl: number;
  readonly cancelled: boolean;
}

const recorded: fc.Arbitrary<Recorded> = fc.record({
  arrivalMs: fc.double({ min: 0, max: 1e7, noNaN: true }),
  prompt: fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 24 }),
  osl: fc.integer({ min: 1, max: 9 }),
  cancelled: fc.boolean(),
});

function record(requests: readonly Recorded[], recorder: RequestRecorder): string[] {
  return requests.map(({ arrivalMs, prompt, osl, cancelled }) => {
    const hashes = hasher.hash(Uint32Array.from(prompt), blockTokens);
    return recorder.line({ arrivalMs, isl: prompt.length, osl, hashes, cancelled });
  });
}

/** Leading full blocks that two prompts have in common. */
function commonBlocks(one: readonly number[], other: readonly number[]): number {
  let common = 0;
  while (common < Math.min(one.length, other.length) && one[common] === other[common]) common++;
  return Math.floor(common / blockTokens);
}

describe('a recording', () => {
  it('is read back as the recorded workload', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(recorded, { minLength: 1, maxLength: 12 }), async (requests) => {
        const recorder = new RequestRecorder(blockTokens);
        const lines = [recorder.header(), ...record(requests, recorder)];
        const workload = await readWorkload(await files.write('recording.jsonl', lines.join('\n')));
        const sorted = requests.toSorted((a, b) => a.arrivalMs - b.arrivalMs);
        const startMs = sorted[0]!.arrivalMs;
        expect(workload.contentBlockTokens).toBe(blockTokens);
        expect(workload.requests.map(({ arrivalMs, isl, osl }) => [arrivalMs, isl, osl])).toEqual(
          sorted.map(({ arrivalMs, prompt, osl }) => [arrivalMs - startMs, prompt.length, osl]),
        );
        for (const [i, { blockIds }] of workload.requests.entries()) {
          for (const [j, other] of workload.requests.entries()) {
            const different = blockIds.findIndex((id, block) => id !== other.blockIds[block]);
            const common = different === -1 ? blockIds.length : different;
            expect(common).toBe(commonBlocks(sorted[i]!.prompt, sorted[j]!.prompt));
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('misses sharing that it forgot, and invents none', async () => {
    const recorder = new RequestRecorder(blockTokens, 2);
    const prompt = (second: number): Recorded => ({
      arrivalMs: 0,
      prompt: [1, 1, 1, 1, second, 1, 1, 1],
      osl: 1,
      cancelled: false,
    });
    const lines = [recorder.header(), ...record([prompt(1), prompt(2), prompt(1), prompt(1)], recorder)];
    const { requests } = await readWorkload(await files.write('forgetful.jsonl', lines.join('\n')));
    const [first, second] = requests;
    expect(second!.blockIds[1]).not.toBe(first!.blockIds[1]);
  });

  it('is small: consecutive ids are one run', () => {
    const line = encodeRequest({
      arrivalMs: 1.5,
      isl: 28,
      osl: 3,
      blockIds: Int32Array.of(0, 1, 2, 9, 10, 4),
      cancelled: true,
    });
    expect(line).toBe('{"arrivalMs":1.5,"isl":28,"osl":3,"blockRuns":[[0,3],[9,2],[4,1]],"cancelled":true}');
    expect([...decodeRequest('here', line, 4).blockIds]).toEqual([0, 1, 2, 9, 10, 4]);
  });

  it("has no more blocks than the prompt's tokens fill", () => {
    const recorder = new RequestRecorder(blockTokens);
    const hashes = { blockSize: 4, blockTokens: 4.5, count: 5, sequence: new Uint32Array(10).map((_, i) => i + 1) };
    const line = recorder.line({ arrivalMs: 0, isl: 7, osl: 1, hashes, cancelled: false });
    expect(decodeRequest('here', line, 4).blockIds).toHaveLength(2);
  });

  it('reports how many requests were cancelled or had no output', async () => {
    const line = encodeRequest({ arrivalMs: 0, isl: 4, osl: 0, blockIds: Int32Array.of(0), cancelled: true });
    const { notes, requests } = await readWorkload(await files.write('cancelled.jsonl', `${header}\n${line}\n`));
    expect(requests[0]!.osl).toBe(1);
    expect(notes.join('\n')).toMatch(/1 requests were cancelled.*1 requests without any output/s);
  });

  it.each([
    ['an unknown version', header.replace('1', '2'), '', /version: 2 is not known/],
    ['no block size', header.replace('blockTokens', 'blocks'), '', /:1: blockTokens is missing/],
    [
      'too many blocks',
      header,
      '{"arrivalMs":0,"isl":8,"osl":1,"blockRuns":[[0,3]],"cancelled":false}',
      /:2: blockRuns: more/,
    ],
    [
      'a run of nothing',
      header,
      '{"arrivalMs":0,"isl":8,"osl":1,"blockRuns":[[0,0]],"cancelled":false}',
      /:2: blockRuns/,
    ],
    ['a run of one', header, '{"arrivalMs":0,"isl":8,"osl":1,"blockRuns":[4],"cancelled":false}', /:2: blockRuns/],
    [
      'no end',
      header,
      '{"arrivalMs":0,"isl":8,"osl":1,"blockRuns":[],"cancelled":0}',
      /:2: cancelled: must be true or/,
    ],
    ['no arrival', header, '{"isl":8,"osl":1,"blockRuns":[],"cancelled":false}', /:2: arrivalMs is missing/],
  ])('is refused with %s', async (_, first, second, message) => {
    const path = await files.write('broken.jsonl', `${first}\n${second}`);
    await expect(readWorkload(path)).rejects.toThrow(message);
  });
});

import { describe, expect, it } from 'vitest';
import { readWorkload } from '../../../src/trace/read-workload.ts';
import { traceFiles } from '../trace-files.ts';

const files = traceFiles();
/** One token per character. */
const tokenizer = { encode: (text: string) => Uint32Array.from(text, (character) => character.codePointAt(0)!) };

const prompt = 'Fix the bug in the parser, please.';
const rows = [
  { timestamp: 5_002_500_000, input: `${prompt} More.`, output: 'ok!', session_id: 'a' },
  { timestamp: 5_001_000_000, input: prompt, output: 'ok', session_id: 'a' },
  { timestamp: 5_001_700_000, input: `${prompt.slice(0, 20)}compiler`, output: '', session_id: 'b' },
];

describe('agent text', () => {
  it('cuts text into blocks by content, and delays turns by the difference of their timestamps', async () => {
    const path = await files.writeLines('text.jsonl', rows);
    const { requests, contentBlockTokens, blockIdCount } = await readWorkload(path, { tokenizer, blockTokens: 8 });
    expect(contentBlockTokens).toBe(8);
    const [first, other, second] = requests;
    expect(first).toMatchObject({ arrivalMs: 0, isl: 34, osl: 2, session: 0 });
    expect(other).toMatchObject({ arrivalMs: 700, isl: 28, osl: 1, session: 1 });
    expect(second).toMatchObject({ arrivalMs: 1500, isl: 40, osl: 3, session: 0 });
    expect(second!.after).toEqual({ request: 0, thinkMs: 1500 });
    expect([...second!.blockIds].slice(0, 4)).toEqual([...first!.blockIds]);
    expect([...other!.blockIds].slice(0, 2)).toEqual([...first!.blockIds].slice(0, 2));
    expect(other!.blockIds[2]).not.toBe(first!.blockIds[2]);
    expect(blockIdCount).toBe(6);
  });

  it('requires a tokenizer', async () => {
    const path = await files.writeLines('text.jsonl', rows);
    await expect(readWorkload(path)).rejects.toMatchObject({ code: 'tokenizer-missing' });
  });

  it.each<[string, unknown, RegExp]>([
    ['text', { ...rows[0], input: 3 }, /:2: input: must be a string, got 3/],
    ['a prompt', { ...rows[0], input: '' }, /:2: input: must not be empty/],
    ['an output', { ...rows[0], output: undefined }, /:2: output is missing/],
    ['a time', { ...rows[0], timestamp: 'now' }, /:2: timestamp/],
    ['a session', { ...rows[0], session_id: 4 }, /:2: session_id: must be a string/],
  ])('reports a missing %s', async (_, broken, message) => {
    const path = await files.writeLines('broken.jsonl', [rows[0], broken]);
    await expect(readWorkload(path, { tokenizer })).rejects.toThrow(message);
  });
});

import { afterEach, describe, expect, it, vi } from 'vitest';
import { labStatsCommand } from '../../src/cli/lab-stats.ts';
import { traceFiles } from '../trace/trace-files.ts';

const files = traceFiles();

async function output(...args: string[]): Promise<string> {
  const lines = vi.spyOn(console, 'log').mockImplementation(() => {});
  await labStatsCommand().exitOverride().parseAsync(args, { from: 'user' });
  return lines.mock.calls.flat().join('\n');
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('kvoyant lab stats', () => {
  it('describes a trace file', async () => {
    const row = { timestamp: 0, input_length: 1024, output_length: 10, hash_ids: [0, 1] };
    const path = await files.writeLines('trace.jsonl', [row, { ...row, timestamp: 2000 }]);
    const lines = (await output(path, '--kv-tokens', '512', '--workers', '1')).split('\n');
    expect(lines.slice(0, 2)).toEqual(['trace.jsonl', 'format: Mooncake JSONL']);
    const value = (title: string): string | undefined =>
      lines
        .find((line) => line.startsWith(title))
        ?.slice(title.length)
        .trim()
        .replace(/ +/g, ' ');
    expect(value('ISL, tokens')).toBe('1,024 1,024 1,024 1,024 0.00');
    expect(value('inter-arrival, ms')).toMatch(/^2,000\.0 /);
    expect(value('rate, requests/s')).toBe('0.50');
    expect(value('hit-rate ceiling, infinite cache')).toBe('0.500');
    expect(value('hit rate, pooled LRU of 1 x 512 tokens')).toBe('0.250');
  });

  it('describes a shipped workload', async () => {
    const lines = await output('gsp-64x16');
    expect(lines).toMatch(/^gsp-64x16\n/);
    expect(lines).toMatch(/requests +1,024\n/);
    expect(lines).toMatch(/pooled LRU of 8 x 186,000 tokens +0\.882/);
  });

  it('reads raw text with the built-in tokenizer', async () => {
    const row = { timestamp: 1, input: 'one two three', output: 'four five', session_id: 'a' };
    expect(await output(await files.writeLines('text.jsonl', [row]))).toMatch(/ISL, tokens +3 /);
  });

  it('reports an unknown workload and the known ones', async () => {
    const errors = vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
    await expect(output('nowhere')).rejects.toMatchObject({ code: 'commander.error' });
    expect(errors.mock.calls.flat().join('')).toMatch(/nowhere: can't be read.*multi-turn/s);
  });
});

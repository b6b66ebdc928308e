import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readCacheConfigs } from '../../../src/gateway/engines/engine-metrics.ts';
import { linesMax, MetricsLines } from '../../../src/gateway/engines/metrics-lines.ts';
import { Remarks } from '../../../src/gateway/engines/remarks.ts';

function kept(text: string, pieceBytes: number): string {
  const lines = new MetricsLines(['a:x', 'a:y']);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += pieceBytes) lines.push(bytes.subarray(at, at + pieceBytes));
  return lines.end();
}

describe('MetricsLines', () => {
  it('keeps the lines of its metrics wherever the bytes are cut', () => {
    const line = fc.constantFrom(
      'a:x{l="é🧭"} 1',
      'a:x{} 2',
      'b:a:x{} 3',
      '# a:x{',
      '',
      'a:xx{} 4',
      'a:x 5',
      ' a:x{} 6',
    );
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 20 }),
        fc.integer({ min: 1, max: 40 }),
        fc.boolean(),
        (all, size, ends) => {
          const expected = all.filter((one) => one.startsWith('a:x{')).map((one) => `${one}\n`);
          expect(kept(all.join('\n') + (ends ? '\n' : ''), size)).toBe(expected.join(''));
        },
      ),
    );
  });

  it('keeps little of megabytes, and one line too many', () => {
    for (const size of [65_536, 1_000_000]) {
      expect(kept('# x\n'.repeat(500_000), size)).toBe('');
      expect(kept('a:x{} 1\n'.repeat(100_000), size).length).toBe(linesMax * 8);
      expect(kept('a:x{'.repeat(200_000), size).length).toBeLessThan(20_000);
    }
    const long = `vllm:cache_config_info{x="${'y'.repeat(100_000)}"} 1\nvllm:cache_config_info{block_size="16"} 1\n`;
    const lines = new MetricsLines(['vllm:cache_config_info']);
    for (let at = 0; at < long.length; at += 1000) lines.push(Buffer.from(long.slice(at, at + 1000)));
    const remarks = new Remarks();
    expect(readCacheConfigs(lines.end(), remarks)).toMatchObject([{ blockSize: 16 }]);
    expect(remarks.texts).toEqual(['its metrics have a line of more than 8192 characters, which is ignored']);
  });
});

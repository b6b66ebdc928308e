import { describe, expect, it } from 'vitest';
import { Progress } from '../../src/report/progress.ts';

function recorder(isTTY: boolean, columns?: number) {
  const written: string[] = [];
  const clock = { nowMs: 0 };
  const sink = { isTTY, ...(columns === undefined ? {} : { columns }), write: (text: string) => written.push(text) };
  return { written, clock, progress: new Progress(sink, () => clock.nowMs) };
}

describe('Progress', () => {
  it('rewrites one line on a terminal, at a limited rate', () => {
    const { written, clock, progress } = recorder(true);
    progress.update('one');
    progress.update('two');
    clock.nowMs = Progress.rewriteGapMs;
    progress.update('three');
    progress.clear();
    expect(written).toEqual(['\r\u001b[2Kone', '\r\u001b[2Kthree', '\r\u001b[2K']);
  });

  it('cuts a line that would wrap', () => {
    const { written, progress } = recorder(true, 6);
    progress.update('0123456789');
    expect(written).toEqual(['\r\u001b[2K01234']);
  });

  it('writes whole lines at intervals if the output is not a terminal', () => {
    const { written, clock, progress } = recorder(false);
    for (clock.nowMs = 0; clock.nowMs <= Progress.lineGapMs; clock.nowMs += 100) progress.update(`at ${clock.nowMs}`);
    expect(written).toEqual(['at 0\n', `at ${Progress.lineGapMs}\n`]);
  });

  it('keeps notes', () => {
    const { written, progress } = recorder(false);
    progress.note('kept');
    progress.update('soon after');
    expect(written).toEqual(['kept\n', 'soon after\n']);
  });
});

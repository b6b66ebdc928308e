import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runWhatIf } from '../../src/cli/what-if.ts';
import { recordedMinutes } from '../../src/cli/what-if-recording.ts';
import { answerWhatIf } from '../../src/cli/what-if-thread.ts';
import type { WhatIfQuestion } from '../../src/gateway/page/what-if-desk.ts';
import { encodeRequest, RequestRecorder } from '../../src/trace/recorder.ts';
import { TemporaryFolder } from '../gateway/temporary-folder.ts';

let folder: TemporaryFolder;
beforeEach(() => {
  folder = new TemporaryFolder();
});
afterEach(() => folder.remove());

const startMs = 1_000_000;

/** A recording of one request a second, which share prefixes. */
function recording(seconds: number): string {
  const path = join(folder.path, 'traffic.jsonl');
  writeFileSync(path, `${new RequestRecorder(16).header(startMs)}\n`);
  for (let i = 0; i < seconds; i++) {
    const blockIds = Int32Array.from({ length: 10 }, (_, at) => (at < 8 ? 10 * (i % 3) + at : 1000 + 10 * i + at));
    appendFileSync(path, `${encodeRequest({ arrivalMs: 1000 * i, isl: 165, osl: 20, blockIds, cancelled: false })}\n`);
  }
  return path;
}

const questionOf = (path: string, more: Partial<WhatIfQuestion> = {}): WhatIfQuestion => ({
  path,
  recordingStartMs: startMs,
  fromMs: startMs + 120_000,
  toMs: startMs + 180_000,
  policies: ['foresee', 'round-robin'],
  workers: [1, 2].map(() => ({ kvTokens: 100_000, blockSize: 16, msPerToken: 22 })),
  seed: 1,
  ...more,
});

describe('what another policy would have done', () => {
  it('reads the minutes asked for, and as many before them to warm up', async () => {
    const path = recording(200);
    const { workload, warmupShare, requests } = await recordedMinutes(
      path,
      startMs,
      startMs + 120_000,
      startMs + 180_000,
    );
    // 60 s and both ends.
    expect([requests, workload.requests.length]).toEqual([61, 121]);
    expect(warmupShare).toBeCloseTo(60 / 121);
  });

  it('leaves out a line that is not written completely', async () => {
    const path = recording(200);
    appendFileSync(path, '{"arrivalMs":17');
    expect((await recordedMinutes(path, startMs, startMs + 120_000, startMs + 180_000)).requests).toBe(61);
  });

  it('reads only the last recording of a file', async () => {
    const path = recording(200);
    appendFileSync(path, `${new RequestRecorder(16).header(startMs + 500_000)}\n`);
    const reading = recordedMinutes(path, startMs + 500_000, startMs + 120_000, startMs + 180_000);
    await expect(reading).rejects.toThrow(/only 0 requests/);
  });

  it('runs both policies on the same requests', async () => {
    const answer = await answerWhatIf(questionOf(recording(200)));
    expect(answer.requests).toBe(61);
    expect([answer.baseline.policy, answer.asked.policy]).toEqual(['foresee', 'round-robin']);
    expect([answer.baseline.requests, answer.asked.requests]).toEqual([61, 61]);
    for (const { ttftMeanMs, prefixHitRate } of [answer.baseline, answer.asked]) {
      expect(ttftMeanMs).toBeGreaterThan(0);
      expect(prefixHitRate).toBeGreaterThan(0);
    }
    expect(await answerWhatIf(questionOf(recording(200)))).toEqual(answer);
  });

  it('answers from a thread, and a file that is no recording is an error for people', async () => {
    const { signal } = new AbortController();
    const answer = await runWhatIf(questionOf(recording(200)), signal);
    expect(answer.requests).toBe(61);
    const other = join(folder.path, 'other');
    writeFileSync(other, 'something\n');
    await expect(runWhatIf(questionOf(other), signal)).rejects.toThrow(/is not a recording/);
    await expect(runWhatIf(questionOf(recording(200)), AbortSignal.abort())).rejects.toThrow(/ended/);
  });
});

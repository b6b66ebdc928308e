// The latest minutes of a recording that is still being written, as a workload of the lab.

import { open } from 'node:fs/promises';
import { recordingFormat } from '../trace/readers/recording-reader.ts';
import { decodeRequest, isHeader, RequestRecorder } from '../trace/recorder.ts';
import type { TraceLine } from '../trace/trace-lines.ts';
import { orderedWorkload, type Workload } from '../trace/workload.ts';

/** Read from the end of the file. */
const tailBytesMax = 64 * 1024 * 1024;
/** Requests of a run, the latest. */
export const whatIfRequestsMax = 50_000;
/** Fewer say nothing. */
export const whatIfRequestsMin = 20;
const headBytes = 1024;

export interface RecordedMinutes {
  readonly workload: Workload;
  /** Share of the requests that arrived before the minutes asked for: they warm the caches up. */
  readonly warmupShare: number;
  /** Requests of the minutes asked for. */
  readonly requests: number;
  readonly notes: readonly string[];
}

/**
 * @param startMs Unix time of arrival 0 of the file's last recording
 * @param fromMs Unix time; as long a time before it is read too, to warm caches up
 * @throws Error with a message for people
 */
export async function recordedMinutes(
  path: string,
  startMs: number,
  fromMs: number,
  toMs: number,
): Promise<RecordedMinutes> {
  const { lines, isCut, blockTokens } = await tailOf(path);
  const warmMs = fromMs - (toMs - fromMs);
  let kept: { readonly line: string; readonly arrivalMs: number }[] = [];
  for (const [index, line] of lines.entries()) {
    const { arrivalMs } = decodeRequest(`${path}, line ${index} of its end`, line, blockTokens);
    const atMs = startMs + arrivalMs;
    if (atMs >= warmMs && atMs <= toMs) kept.push({ line, arrivalMs });
  }
  kept.sort((a, b) => a.arrivalMs - b.arrivalMs);
  const notes: string[] = [];
  if (kept.length > whatIfRequestsMax) {
    notes.push(`Only the last ${whatIfRequestsMax} of ${kept.length} requests were run.`);
    kept = kept.slice(-whatIfRequestsMax);
  } else if (isCut && kept.length === lines.length) {
    notes.push(`Only the last ${tailBytesMax / 1024 / 1024} MiB of the recording were read.`);
  }
  const before = kept.filter(({ arrivalMs }) => startMs + arrivalMs < fromMs).length;
  const requests = kept.length - before;
  if (requests < whatIfRequestsMin) {
    throw new Error(
      `only ${requests} requests have ended in this time: at least ${whatIfRequestsMin} are needed to compare`,
    );
  }
  const header = new RequestRecorder(blockTokens).header();
  const file = { path, lines: traceOf([header, ...kept.map(({ line }) => line)], path) };
  const trace = await recordingFormat.read([file], {});
  const workload = orderedWorkload({ ...trace, name: 'recording', recorded: true });
  return { workload, warmupShare: before / kept.length, requests, notes: [...notes, ...trace.notes] };
}

async function* traceOf(lines: readonly string[], path: string): AsyncGenerator<TraceLine> {
  for (const [index, text] of lines.entries()) yield { at: `${path}:${index}`, text };
}

/** The whole lines at the end of the file that belong to its last recording. */
async function tailOf(path: string): Promise<{ lines: string[]; isCut: boolean; blockTokens: number }> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const head = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    const [first = ''] = head.buffer.toString('utf8', 0, head.bytesRead).split('\n', 1);
    if (!isHeader(first)) throw new Error(`${path} is not a recording of kvoyant`);
    const start = Math.max(0, size - tailBytesMax);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    const lines = buffer.toString('utf8', 0, bytesRead).split('\n');
    // The last one may not be written completely; the first one of a tail has lost its beginning.
    lines.pop();
    if (start > 0) lines.shift();
    const header = lines.findLastIndex(isHeader);
    const { blockTokens } = JSON.parse(header === -1 ? first : lines[header]!) as { blockTokens: number };
    return { lines: lines.slice(header + 1).filter((line) => line !== ''), isCut: start > 0, blockTokens };
  } finally {
    await file.close();
  }
}

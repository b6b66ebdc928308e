// Reads a trace file, or a folder of trace files, and detects its format.

import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { firstRequests, jitterArrivals, speedUp } from './arrival-process.ts';
import { agentSessionFormat } from './readers/agent-session-reader.ts';
import { agentTextFormat } from './readers/agent-text-reader.ts';
import { azureFormat } from './readers/azure-reader.ts';
import { mooncakeFormat } from './readers/mooncake-reader.ts';
import type { Reader, ReaderOptions, TraceFile } from './readers/reader.ts';
import { recordingFormat } from './readers/recording-reader.ts';
import { TraceError } from './trace-error.ts';
import { traceLines } from './trace-lines.ts';
import { orderedWorkload, type Workload } from './workload.ts';

const readers: readonly Reader[] = [recordingFormat, mooncakeFormat, azureFormat, agentSessionFormat, agentTextFormat];

export interface ReadOptions extends ReaderOptions {
  /** Keep only the first requests to arrive. */
  readonly requests?: number;
  /** Adds a uniform delay of 0 .. `jitterMs` to every arrival. 3,000 suits Mooncake's coarse timestamps. */
  readonly jitterMs?: number;
  /** Divides arrival and think times. */
  readonly speed?: number;
}

/**
 * The first note of the workload names the format. All files of a folder form one workload.
 * @throws TraceError naming file, line, field and what is wrong
 */
export async function readWorkload(path: string, options: ReadOptions = {}): Promise<Workload> {
  const paths = await filesOf(path);
  const reader = await detectReader(paths[0]!);
  const files = paths.map((file): TraceFile => ({ path: file, lines: traceLines(file) }));
  const trace = await reader.read(files, options);
  if (trace.requests.length === 0) throw new TraceError('trace-invalid', `${path}: contains no requests`);
  let workload = orderedWorkload({
    ...trace,
    name: basename(path),
    recorded: true,
    notes: [`format: ${reader.format}`, ...trace.notes],
  });
  if (options.requests !== undefined) workload = firstRequests(workload, options.requests);
  if (options.jitterMs !== undefined) workload = jitterArrivals(workload, options.jitterMs, options.seed ?? 0);
  if (options.speed !== undefined) workload = speedUp(workload, options.speed);
  return workload;
}

async function filesOf(path: string): Promise<string[]> {
  const unreadable = (cause: Error): never => {
    throw new TraceError('trace-unreadable', `${path}: can't be read: ${cause.message}`, { cause });
  };
  const found = await stat(path).catch(unreadable);
  if (!found.isDirectory()) return [path];
  const entries = await readdir(path, { withFileTypes: true }).catch(unreadable);
  const names = entries.filter((entry) => entry.isFile() && !entry.name.startsWith('.')).map(({ name }) => name);
  if (names.length === 0) throw new TraceError('trace-unreadable', `${path}: a folder without files`);
  return names.sort().map((name) => join(path, name));
}

async function detectReader(path: string): Promise<Reader> {
  for await (const { text } of traceLines(path)) {
    const reader = readers.find((candidate) => candidate.recognises(text));
    if (reader !== undefined) return reader;
    const accepted = readers.map(({ format, firstLine }) => `\n  ${format}: ${firstLine}`).join('');
    throw new TraceError(
      'trace-unknown',
      `${path}: unknown format; it begins with ${text.slice(0, shownMax)}\naccepted, plain or gzipped, by their first line:${accepted}`,
    );
  }
  throw new TraceError('trace-unknown', `${path}: the file is empty`);
}

/** Characters of an unknown first line in the message. */
const shownMax = 120;

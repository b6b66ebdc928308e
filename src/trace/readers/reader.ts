// Interface and helpers of the trace readers.

import type { Tokenizer } from '../../tokens/tokenizer.ts';
import { TraceFields } from '../trace-fields.ts';
import type { TraceLine } from '../trace-lines.ts';
import type { Workload, WorkloadRequest } from '../workload.ts';

export interface ReaderOptions {
  /**
   * Tokens per block: of `hash_ids` in Mooncake traces (default 512), or of the blocks that text is cut into (default
   * 16).
   */
  readonly blockTokens?: number;
  /** Needed for traces with raw text. */
  readonly tokenizer?: Pick<Tokenizer, 'encode'>;
  /** Seed for values missing in the trace, such as session starts. Default 0. */
  readonly seed?: number;
}

export interface TraceFile {
  readonly path: string;
  readonly lines: AsyncIterable<TraceLine>;
}

export interface Reader {
  readonly format: string;
  /** Description of the first line, for the error message about an unknown format. */
  readonly firstLine: string;
  recognises(firstLine: string): boolean;
  /**
   * All files together are one workload.
   * @throws TraceError
   */
  read(files: readonly TraceFile[], options: ReaderOptions): Promise<ReadTrace>;
}

/** Requests in any order. `after` refers to indexes in this list. */
export type ReadTrace = Omit<Workload, 'name'>;

/** Whether a line is a JSON object with at least one name of each group. */
export function hasFields(line: string, ...groups: readonly (readonly string[])[]): boolean {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return false;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const fields = TraceFields.of('', value);
  return groups.every((names) => fields.has(...names));
}

/**
 * Output lengths of a trace. A request recorded without output gets one token, since engines always answer something; a
 * note counts these.
 */
export class OutputLengths {
  #empty = 0;

  osl(recordedTokens: number): number {
    if (recordedTokens === 0) this.#empty++;
    return Math.max(1, recordedTokens);
  }

  get notes(): readonly string[] {
    return this.#empty === 0 ? [] : [`${this.#empty} requests without any output are given 1 output token`];
  }
}

/** The same requests with the first arrival at time 0. */
export function fromFirstArrival(requests: readonly WorkloadRequest[]): WorkloadRequest[] {
  const startMs = requests.reduce((earliest, { arrivalMs }) => Math.min(earliest, arrivalMs), Number.POSITIVE_INFINITY);
  return requests.map((request) => ({ ...request, arrivalMs: request.arrivalMs - startMs }));
}

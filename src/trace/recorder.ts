// Recording of real traffic: one JSON line per request, with lengths and block ids and without any text.

import type { BlockHashes } from '../core/types.ts';
import { SequenceNumbering } from './sequence-numbering.ts';
import { TraceFields } from './trace-fields.ts';

const formatName = 'kvoyant-recording';
const formatVersion = 1;

/** A finished request as the gateway saw it. */
export interface FinishedRequest {
  /** Milliseconds from the start of the recording. */
  readonly arrivalMs: number;
  readonly isl: number;
  /** Output tokens until the end, or until the client went away. */
  readonly osl: number;
  readonly hashes: BlockHashes;
  /** The client went away, or the request failed. */
  readonly cancelled: boolean;
}

/** The content of one line. */
export interface RecordedRequest {
  readonly arrivalMs: number;
  readonly isl: number;
  readonly osl: number;
  /** Chained ids of the full blocks, numbered in order of first appearance. */
  readonly blockIds: Int32Array;
  readonly cancelled: boolean;
}

/** Encodes the lines of one recording. The header must come first; requests may follow in any order. */
export class RequestRecorder {
  readonly blockTokens: number;
  readonly #numbering: SequenceNumbering;

  /** @param blocksMax distinct blocks to remember, see `SequenceNumbering` */
  constructor(blockTokens: number, blocksMax: number = SequenceNumbering.blocksMaxDefault) {
    this.blockTokens = blockTokens;
    this.#numbering = new SequenceNumbering(blocksMax);
  }

  /**
   * First line of the recording, without newline. A file may contain several recordings, one after another.
   * @param startTimeMs Unix time of arrival 0; readers use it to place the recordings of one file in time
   */
  header(startTimeMs: number = 0): string {
    const header = { format: formatName, version: formatVersion, blockTokens: this.blockTokens };
    return JSON.stringify(startTimeMs === 0 ? header : { ...header, startTimeMs });
  }

  /** One line, without newline. O(blocks) */
  line({ arrivalMs, isl, osl, hashes, cancelled }: FinishedRequest): string {
    // Blocks cut from bytes may exceed the estimated token count.
    const count = Math.min(hashes.count, Math.ceil(isl / this.blockTokens));
    const blockIds = this.#numbering.numbers(hashes.sequence, count);
    return encodeRequest({ arrivalMs, isl, osl, blockIds, cancelled });
  }
}

/** `blockRuns` lists runs of consecutive ids as [first, count], since new blocks get consecutive ids. */
export function encodeRequest({ arrivalMs, isl, osl, blockIds, cancelled }: RecordedRequest): string {
  return JSON.stringify({ arrivalMs, isl, osl, blockRuns: runsOf(blockIds), cancelled });
}

/** @throws TraceError naming line and field */
export function decodeRequest(at: string, line: string, blockTokens: number): RecordedRequest {
  const fields = TraceFields.parse(at, line);
  const isl = fields.count(1, 'isl');
  return {
    arrivalMs: fields.amount('arrivalMs'),
    isl,
    osl: fields.count(0, 'osl'),
    blockIds: idsOf(fields, Math.ceil(isl / blockTokens)),
    cancelled: fields.boolean('cancelled'),
  };
}

export function isHeader(line: string): boolean {
  return line.startsWith('{') && line.includes(`"format":"${formatName}"`);
}

export interface RecordingHeader {
  readonly blockTokens: number;
  /** Unix time. 0: not known. */
  readonly startTimeMs: number;
}

/** @throws TraceError naming line and field */
export function decodeHeader(at: string, line: string): RecordingHeader {
  const fields = TraceFields.parse(at, line);
  if (fields.string('format') !== formatName) fields.refuse('format', `must be ${formatName}`);
  const version = fields.count(1, 'version');
  if (version !== formatVersion)
    fields.refuse('version', `${version} is not known; this kvoyant reads ${formatVersion}`);
  const startTimeMs = fields.has('startTimeMs') ? fields.amount('startTimeMs') : 0;
  return { blockTokens: fields.count(1, 'blockTokens'), startTimeMs };
}

function runsOf(blockIds: Int32Array): [first: number, count: number][] {
  const runs: [first: number, count: number][] = [];
  for (const id of blockIds) {
    const run = runs.at(-1);
    if (run !== undefined && id === run[0] + run[1]) run[1]++;
    else runs.push([id, 1]);
  }
  return runs;
}

function idsOf(fields: TraceFields, blocksMax: number): Int32Array {
  const blockIds: number[] = [];
  for (const run of fields.array('blockRuns')) {
    if (!isRun(run)) fields.refuse('blockRuns', `must list [first, count], got ${JSON.stringify(run)}`);
    const [first, count] = run;
    if (blockIds.length + count > blocksMax) fields.refuse('blockRuns', `more blocks than the ${blocksMax} of isl`);
    for (let i = 0; i < count; i++) blockIds.push(first + i);
  }
  return Int32Array.from(blockIds);
}

function isRun(run: unknown): run is [first: number, count: number] {
  if (!Array.isArray(run) || run.length !== 2) return false;
  const [first, count] = run;
  return (
    Number.isSafeInteger(first) && Number.isSafeInteger(count) && first >= 0 && count >= 1 && first + count <= 2 ** 31
  );
}

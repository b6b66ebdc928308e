// Reads Azure's LLM inference traces: CSV with lengths and arrivals, without content.

import { TraceError } from '../trace-error.ts';
import { noBlocks, type WorkloadRequest } from '../workload.ts';
import { fromFirstArrival, OutputLengths, type Reader } from './reader.ts';

const columnNames = ['TIMESTAMP', 'ContextTokens', 'GeneratedTokens'] as const;

/** Nothing is shared, so the size does not matter. */
const contentBlockTokens = 16;

/** Columns may be in any order; unknown ones are ignored. Times without an offset are UTC. */
export const azureFormat: Reader = {
  format: 'Azure LLM inference CSV',
  firstLine: columnNames.join(','),
  recognises: (line) => columnNames.every((name) => line.split(',').includes(name)),
  read: async (files) => {
    const outputs = new OutputLengths();
    const requests: WorkloadRequest[] = [];
    for (const { lines } of files) {
      let columns: CsvColumns | undefined;
      for await (const { at, text } of lines) {
        if (columns === undefined) {
          columns = new CsvColumns(at, text);
          continue;
        }
        const row = columns.row(at, text);
        requests.push({
          arrivalMs: timeMs(at, row.TIMESTAMP),
          isl: tokens(at, 'ContextTokens', row.ContextTokens, 1),
          osl: outputs.osl(tokens(at, 'GeneratedTokens', row.GeneratedTokens, 0)),
          blockIds: noBlocks,
        });
      }
    }
    return { contentBlockTokens, blockIdCount: 0, requests: fromFirstArrival(requests), notes: outputs.notes };
  },
};

type Row = Readonly<Record<(typeof columnNames)[number], string>>;

class CsvColumns {
  readonly #count: number;
  readonly #positions: readonly number[];

  constructor(at: string, header: string) {
    const names = header.split(',');
    this.#count = names.length;
    this.#positions = columnNames.map((name) => names.indexOf(name));
    const missing = columnNames.find((_, i) => this.#positions[i] === -1);
    if (missing !== undefined) throw new TraceError('trace-invalid', `${at}: column ${missing} is missing`);
  }

  row(at: string, line: string): Row {
    const cells = line.split(',');
    if (cells.length !== this.#count) {
      throw new TraceError('trace-invalid', `${at}: ${cells.length} cells in ${this.#count} columns`);
    }
    const [timestamp, context, generated] = this.#positions.map((position) => cells[position]!);
    return { TIMESTAMP: timestamp!, ContextTokens: context!, GeneratedTokens: generated! };
  }
}

function tokens(at: string, column: string, cell: string, min: number): number {
  const value = /^\d+$/.test(cell) ? Number(cell) : Number.NaN;
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw new TraceError('trace-invalid', `${at}: ${column}: must be an integer from ${min} up, got ${cell}`);
}

const timestamp = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?$/;

/** Keeps the digits after the milliseconds, which `Date` drops. */
function timeMs(at: string, cell: string): number {
  const match = timestamp.exec(cell);
  const seconds = match === null ? Number.NaN : Date.parse(`${match[1]}T${match[2]}${match[4] ?? 'Z'}`);
  if (!Number.isNaN(seconds)) return seconds + 1000 * Number(`0${match![3] ?? ''}`);
  throw new TraceError('trace-invalid', `${at}: TIMESTAMP: must be like 2023-11-16 18:17:03.9799600, got ${cell}`);
}

// Writes messages as bytes: mark, version, kind, head, then the body of the kind.
//
// Integers take seven bits a byte, hashes eight bytes. A delta of one request takes about 60 bytes and its hashes. The
// sender writes a delta piece by piece (own-share.ts), since objects for all that it tells would cost more than the
// writing: version of the table; number and loads of the workers that changed, each after its position; number and ids
// of the prompts computed, and of those ended; the prompts added. A gauge may grow at its end: older versions read no
// further than they know, and a newer one takes what is missing there for untold.

import type { LoadTotals } from '../core/shared-load.ts';
import type { ByteWriter } from './byte-writer.ts';
import { messageBytesMax } from './limits.ts';
import { type Gauge, type MessageHead, messageVersion, type Table } from './message.ts';

/** First byte of every message. */
export const messageMark = 0x6b;
export const kindBytes = { gauge: 1, delta: 2, goodbye: 3 } as const;

export function writeHead(writer: ByteWriter, kind: keyof typeof kindBytes, head: MessageHead): void {
  writer.byte(messageMark);
  writer.byte(messageVersion);
  writer.byte(kindBytes[kind]);
  writer.text(head.origin);
  writer.integer(head.epoch);
  writer.integer(head.sequence);
}

/** The table after its version. The sender keeps the bytes until it changes. */
export function writeTable(writer: ByteWriter, { pools, workers }: Table): void {
  writer.integer(pools.length);
  for (const pool of pools) writer.text(pool);
  writer.integer(workers.length);
  for (const { pool, worker } of workers) {
    writer.integer(pool);
    writer.text(worker);
  }
}

/** @param tableBytes made by `writeTable` */
export function writeGauge(
  writer: ByteWriter,
  { about, table, totals, computing, running }: Gauge,
  tableBytes: Uint8Array,
): void {
  writer.text(about);
  writer.integer(table.version);
  writer.integer(tableBytes.length);
  writer.raw(tableBytes);
  for (const total of totals) writeLoad(writer, total);
  for (const numbers of computing) writeNumbers(writer, numbers);
  if (running !== null) for (const numbers of running) writeNumbers(writer, numbers);
}

function writeNumbers(writer: ByteWriter, numbers: readonly number[]): void {
  writer.integer(numbers.length);
  let last = 0;
  // Nearly in order, unless loads are counted long after the choice.
  for (const number of numbers.toSorted((a, b) => a - b)) {
    writer.integer(number - last);
    last = number;
  }
}

export function writeLoad(writer: ByteWriter, total: Readonly<LoadTotals>): void {
  writer.integer(total.activeTokens);
  writer.integer(total.ownTokens);
  writer.integer(total.prefillTokens);
  writer.integer(total.prefillPairs);
  writer.integer(total.runningRequests);
  writer.integer(total.computedTokens);
  writer.integer(total.computedPairs);
}

/** One of the prompts at the end of a delta: to the end of the message, so that their number is not needed. */
export interface AddedHead {
  readonly at: number;
  readonly number: number;
  readonly blockSize: number;
  readonly sampled: boolean;
}

/** @param sequence two words a block @returns false: it does not fit into the message, and nothing was written */
export function writeAdded(
  writer: ByteWriter,
  { at, number, blockSize, sampled }: AddedHead,
  sequence: Uint32Array,
  count: number,
): boolean {
  if (writer.length + 40 + 8 * count > messageBytesMax) return false;
  writer.integer(at);
  writer.integer(number);
  writer.integer(2 * blockSize + (sampled ? 1 : 0));
  writer.hashes(sequence, count);
  return true;
}

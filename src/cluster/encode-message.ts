// Writes messages as bytes: mark, version, kind, head, then the body of the kind.
//
// Integers take seven bits a byte, hashes eight bytes. A delta of one request takes about 60 bytes and its hashes.

import type { ByteWriter } from './byte-writer.ts';
import { messageBytesMax } from './limits.ts';
import {
  type Added,
  type Delta,
  type Gauge,
  type MessageHead,
  messageVersion,
  type PromptId,
  type Table,
  type Total,
} from './message.ts';

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
  { about, table, totals, computing }: Gauge,
  tableBytes: Uint8Array,
): void {
  writer.text(about);
  writer.integer(table.version);
  writer.integer(tableBytes.length);
  writer.raw(tableBytes);
  for (const total of totals) writeLoad(writer, total);
  for (const numbers of computing) {
    writer.integer(numbers.length);
    let last = 0;
    for (const number of numbers) {
      writer.integer(number - last);
      last = number;
    }
  }
}

/** @returns how many items of `added` did not fit */
export function writeDelta(writer: ByteWriter, { tableVersion, totals, added, computed, freed }: Delta): number {
  writer.integer(tableVersion);
  writer.integer(totals.length);
  for (const total of totals) {
    writer.integer(total.at);
    writeLoad(writer, total);
  }
  writeIds(writer, computed);
  writeIds(writer, freed);
  for (const [i, one] of added.entries()) {
    if (writer.length + 40 + 4 * one.sequence.length > messageBytesMax) return added.length - i;
    writeAdded(writer, one);
  }
  return 0;
}

function writeLoad(writer: ByteWriter, total: Total): void {
  writer.integer(total.activeTokens);
  writer.integer(total.ownTokens);
  writer.integer(total.prefillTokens);
  writer.integer(total.prefillPairs);
  writer.integer(total.runningRequests);
  writer.integer(total.computedTokens);
  writer.integer(total.computedPairs);
}

function writeIds(writer: ByteWriter, ids: readonly PromptId[]): void {
  writer.integer(ids.length);
  for (const { pool, number } of ids) {
    writer.integer(pool);
    writer.integer(number);
  }
}

/** To the end of the message, so that their number is not needed. */
function writeAdded(writer: ByteWriter, { at, number, blockSize, sampled, sequence }: Added): void {
  writer.integer(at);
  writer.integer(number);
  writer.integer(2 * blockSize + (sampled ? 1 : 0));
  writer.hashes(sequence);
}

// Reads messages from bytes that anyone may have sent. Linear in their length; never throws.

import { samplesMax } from '../core/blocks/sampled-chain.ts';
import type { LoadTotals } from '../core/shared-load.ts';
import { ByteReader, Unreadable } from './byte-reader.ts';
import { kindBytes, messageMark } from './encode-message.ts';
import {
  messageBytesMax,
  nameBytesMax,
  poolsMax,
  promisedBlocksMax,
  promptsMax,
  runningPromptsMax,
  sharedWorkersMax,
  tableBytesMax,
  totalMax,
} from './limits.ts';
import {
  type Added,
  type Body,
  type Message,
  messageVersion,
  type PromptIds,
  type Table,
  type Total,
} from './message.ts';

/** `version`: of another version or kind, which a newer replica may send. `unreadable`: not one of ours, or cut. */
export type Decoded = Message | 'version' | 'unreadable';

/** A table that is known already, so that it need not be read again. */
export type KnownTable = (origin: string, epoch: number, version: number) => Table | null;

/** Block sizes beyond this are a fault of the sender. */
const blockSizeMax = 65_536;
/** Bytes of the smallest total. */
const loadBytes = 7;

export function decodeMessage(bytes: Uint8Array, known: KnownTable = () => null): Decoded {
  if (bytes.length > messageBytesMax || bytes.length < 3 || bytes[0] !== messageMark) return 'unreadable';
  if (bytes[1] !== messageVersion) return 'version';
  try {
    const reader = new ByteReader(bytes);
    reader.raw(2);
    const kind = reader.byte();
    const head = { origin: reader.text(nameBytesMax), epoch: reader.integer(), sequence: reader.integer() };
    const body = readBody(reader, kind, (version) => known(head.origin, head.epoch, version));
    return body === null ? 'version' : { head, body };
  } catch (error) {
    if (error instanceof Unreadable) return 'unreadable';
    throw error;
  }
}

function readBody(reader: ByteReader, kind: number, known: (version: number) => Table | null): Body | null {
  switch (kind) {
    case kindBytes.gauge:
      return readGauge(reader, known);
    case kindBytes.delta:
      return readDelta(reader);
    case kindBytes.goodbye:
      return { kind: 'goodbye' };
    default:
      return null;
  }
}

function readGauge(reader: ByteReader, known: (version: number) => Table | null): Body {
  const about = reader.text(nameBytesMax);
  const version = reader.integer();
  const tableBytes = reader.raw(reader.count(tableBytesMax, 1));
  const table = known(version) ?? readTable(new ByteReader(tableBytes), version);
  const totals: Total[] = [];
  for (let at = 0; at < table.workers.length; at++) totals.push(readLoad(reader, at));
  const computing = table.pools.map(() => readNumbers(reader, promptsMax));
  const running =
    reader.isAtEnd && table.pools.length > 0 ? null : table.pools.map(() => readNumbers(reader, runningPromptsMax));
  return { kind: 'gauge', about, table, totals, computing, running };
}

function readNumbers(reader: ByteReader, countMax: number): number[] {
  const numbers: number[] = [];
  let last = 0;
  for (let left = reader.count(countMax, 1); left > 0; left--) {
    const step = reader.integer();
    if (step === 0 && numbers.length > 0) throw new Unreadable('a prompt is listed twice');
    last += step;
    numbers.push(last);
  }
  return numbers;
}

function readTable(reader: ByteReader, version: number): Table {
  const pools: string[] = [];
  for (let left = reader.count(poolsMax, 1); left > 0; left--) pools.push(reader.text(nameBytesMax));
  const workers = [];
  const names = new Set<string>();
  for (let left = reader.count(sharedWorkersMax, 2); left > 0; left--) {
    const pool = reader.integer();
    if (pool >= pools.length) throw new Unreadable('a worker has no pool');
    const worker = reader.text(nameBytesMax);
    // Counted twice, the loads of a stranger would exceed what adds up exactly.
    if (names.has(worker)) throw new Unreadable('a worker is named twice');
    names.add(worker);
    workers.push({ pool, worker });
  }
  return { version, pools, workers };
}

function readDelta(reader: ByteReader): Body {
  const tableVersion = reader.integer();
  const totals: Total[] = [];
  for (let left = reader.count(sharedWorkersMax, 1 + loadBytes); left > 0; left--) {
    totals.push(readLoad(reader, reader.integer()));
  }
  const computed = readIds(reader);
  const ended = readIds(reader);
  const added: Added[] = [];
  while (!reader.isAtEnd) {
    if (added.length === promptsMax) throw new Unreadable('too many prompts');
    added.push(readAdded(reader));
  }
  return { kind: 'delta', tableVersion, totals, added, computed, ended };
}

function readLoad(reader: ByteReader, at: number): Total {
  const total: { at: number } & { -readonly [Key in keyof LoadTotals]: number } = {
    at,
    activeTokens: reader.integer(),
    ownTokens: reader.integer(),
    prefillTokens: reader.integer(),
    prefillPairs: reader.integer(),
    runningRequests: reader.integer(),
    computedTokens: reader.integer(),
    computedPairs: reader.integer(),
  };
  if (
    Math.max(total.activeTokens, total.ownTokens, total.prefillTokens, total.prefillPairs, total.runningRequests) >
    totalMax
  )
    throw new Unreadable('a load is too large');
  return total;
}

function readIds(reader: ByteReader): PromptIds {
  const ids: number[] = [];
  for (let left = 2 * reader.count(messageBytesMax, 2); left > 0; left--) ids.push(reader.integer());
  return ids;
}

function readAdded(reader: ByteReader): Added {
  const at = reader.integer();
  const number = reader.integer();
  const form = reader.integer();
  const blockSize = Math.floor(form / 2);
  if (blockSize < 1 || blockSize > blockSizeMax) throw new Unreadable('no block size');
  const sampled = form % 2 === 1;
  return { at, number, blockSize, sampled, sequence: reader.hashes(sampled ? samplesMax : promisedBlocksMax) };
}

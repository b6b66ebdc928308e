// Removes the chunk that only reports the usage from an event stream; all other bytes pass unchanged.

import { ByteCollector, type MemoryHold } from './byte-collector.ts';
import { type CompletionChunk, readUsage } from './completion-chunk.ts';
import { skipSpace } from './json-members.ts';
import { SseSplitter } from './sse.ts';

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const openingBracket = 0x5b;
const closingBracket = 0x5d;

const nothing: Buffer = Buffer.alloc(0);

/** What has arrived of the incomplete line. */
type LineSoFar = 'nothing' | 'cr' | 'more';

/**
 * Feed it with `push`, in chunks cut anywhere, and send what it returns at once. Only the first event with usage and
 * without choices is removed. An incomplete event is held until it is complete, or too long to be a usage event.
 */
export class UsageFilter {
  /** A longer event can't be a usage event. */
  static readonly eventBytesMax: number = 64 * 1024;

  /** The beginning of an event, from earlier chunks. */
  readonly #held: ByteCollector;
  #line: LineSoFar = 'nothing';
  /** The current event exceeds the limit: its beginning has been passed on. */
  #isLong = false;
  #done = false;

  /** @param hold counts the memory of held events */
  constructor(hold: MemoryHold | null = null) {
    this.#held = new ByteCollector(hold);
  }

  /** @returns the bytes to send; may be empty @throws what the hold throws */
  push(chunk: Buffer): Buffer {
    if (this.#done) return chunk;
    const passed: Buffer[] = [];
    let eventStart = 0;
    let lineStart = 0;
    for (let at = chunk.indexOf(lineFeed); at !== -1; at = chunk.indexOf(lineFeed, lineStart)) {
      const isBlank = this.#endsBlank(chunk, lineStart, at);
      lineStart = at + 1;
      if (!isBlank) continue;
      if (this.#isUsage(chunk.subarray(eventStart, lineStart))) {
        this.#done = true;
        this.#held.clear();
        return join([...passed, chunk.subarray(0, eventStart), chunk.subarray(lineStart)]);
      }
      passed.push(this.#held.take());
      this.#isLong = false;
      eventStart = lineStart;
    }
    this.#keepLine(chunk, lineStart);
    const tail = chunk.subarray(eventStart);
    if (!this.#isLong && this.#held.length + tail.length > UsageFilter.eventBytesMax) {
      passed.push(this.#held.take());
      this.#isLong = true;
    }
    if (this.#isLong) return join([...passed, chunk]);
    this.#held.append(tail);
    return join([...passed, chunk.subarray(0, eventStart)]);
  }

  /** Ends the stream. @returns what was held */
  end(): Buffer {
    this.#done = true;
    return this.#held.take();
  }

  #endsBlank(chunk: Buffer, start: number, end: number): boolean {
    const line = this.#line;
    this.#line = 'nothing';
    if (line === 'nothing') return end === start || (end === start + 1 && chunk[start] === carriageReturn);
    return line === 'cr' && end === start;
  }

  #keepLine(chunk: Buffer, start: number): void {
    if (start === chunk.length) return;
    const isCr = this.#line === 'nothing' && start + 1 === chunk.length && chunk[start] === carriageReturn;
    this.#line = isCr ? 'cr' : 'more';
  }

  #isUsage(end: Buffer): boolean {
    if (this.#isLong || this.#held.length + end.length > UsageFilter.eventBytesMax) return false;
    return isUsageEvent(join([this.#held.view(), end]));
  }
}

/** @param event including the blank line that ends it */
function isUsageEvent(event: Buffer): boolean {
  // Few events contain an empty array; no others are parsed.
  if (!hasEmptyArray(event)) return false;
  let isUsage = false;
  new SseSplitter((data) => {
    isUsage = isUsageChunk(data);
  }).push(event);
  return isUsage;
}

/** Blanks between the brackets count as nothing. */
function hasEmptyArray(event: Buffer): boolean {
  for (let at = event.indexOf(openingBracket); at !== -1; at = event.indexOf(openingBracket, at + 1)) {
    if (event[skipSpace(event, at + 1)] === closingBracket) return true;
  }
  return false;
}

function isUsageChunk(data: string): boolean {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    // Not JSON, so not a usage: it passes unchanged.
    return false;
  }
  if (typeof value !== 'object' || value === null) return false;
  const { choices, usage, error = null } = value as CompletionChunk;
  return Array.isArray(choices) && choices.length === 0 && readUsage(usage) !== 'absent' && error === null;
}

function join(parts: readonly Buffer[]): Buffer {
  const filled = parts.filter(({ length }) => length > 0);
  return filled.length > 1 ? Buffer.concat(filled) : (filled[0] ?? nothing);
}

// Splits a byte stream of server-sent events into the data of each event, across any chunk boundary.

import { ByteCollector, type MemoryHold } from './byte-collector.ts';

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/** Memory of one data line's string besides its characters. */
const lineOverheadBytes = 64;
const bytesPerCharacter = 2;

export interface SseOptions {
  /** A longer event is skipped, and `onLong` called at its end. Default: `SseSplitter.eventBytesMax` */
  readonly keptBytesMax?: number;
  readonly onLong?: () => void;
  /** Counts the memory of buffered data; what it throws ends the stream. Default: not counted. */
  readonly hold?: MemoryHold | null;
}

/**
 * Feed it with `push`; it calls `onData` once for each event that has data, with that data as text (several `data:`
 * lines joined by a newline, as in the HTML standard). Comments and other fields are skipped. Lines end with LF or
 * CRLF, which may be split between chunks. O(bytes), however they are cut.
 */
export class SseSplitter {
  /** Limit on the bytes of one event; a longer one is an error. */
  static readonly eventBytesMax: number = 16 * 1024 * 1024;
  /** Limit on the data lines of one event, which may be empty; more are an error. */
  static readonly eventLinesMax: number = 64 * 1024;

  readonly #onData: (data: string) => void;
  readonly #onLong: () => void;
  readonly #keptBytesMax: number;
  readonly #hold: MemoryHold | null;
  /** The beginning of an incomplete line. */
  readonly #rest: ByteCollector;
  #data: string[] = [];
  /** Bytes taken from the hold for `#data`. */
  #heldBytes = 0;
  #dataBytes = 0;
  /** The current event exceeds `keptBytesMax` and is skipped. */
  #isLong = false;
  /** Length and first byte of a skipped event's incomplete line. */
  #lineBytes = 0;
  #lineFirst = 0;

  constructor(onData: (data: string) => void, options: SseOptions = {}) {
    const { keptBytesMax = SseSplitter.eventBytesMax, onLong = () => undefined, hold = null } = options;
    this.#onData = onData;
    this.#onLong = onLong;
    this.#keptBytesMax = keptBytesMax;
    this.#hold = hold;
    this.#rest = new ByteCollector(hold);
  }

  /** Whether no event has begun: the next byte is the first of a line. */
  get isBetweenEvents(): boolean {
    return !this.#isLong && this.#data.length === 0 && this.#rest.length === 0;
  }

  /**
   * @throws RangeError if one event exceeds `eventBytesMax` or `eventLinesMax`, or what the hold throws; the splitter is
   * unusable afterwards
   */
  push(chunk: Buffer): void {
    let lineStart = 0;
    for (let lineEnd = chunk.indexOf(lineFeed); lineEnd !== -1; lineEnd = chunk.indexOf(lineFeed, lineStart)) {
      if (this.#isLong || this.#rest.length > 0) {
        this.#keep(chunk.subarray(lineStart, lineEnd));
        if (this.#isLong) this.#endLongLine();
        else {
          this.#line(this.#rest.view(), 0, this.#rest.length);
          this.#rest.clear();
        }
      } else this.#line(chunk, lineStart, lineEnd);
      lineStart = lineEnd + 1;
    }
    if (lineStart < chunk.length) this.#keep(chunk.subarray(lineStart));
    if (this.#hold !== null && (this.#heldBytes > 0 || this.#data.length > 0)) this.#account(this.#hold);
  }

  /** Buffers a part of an incomplete line. */
  #keep(bytes: Buffer): void {
    this.#assertFits(this.#rest.length + bytes.length);
    if (!this.#isLong) {
      if (this.#dataBytes + this.#rest.length + bytes.length <= this.#keptBytesMax) {
        this.#rest.append(bytes);
        return;
      }
      this.#skipEvent();
    }
    if (this.#lineBytes === 0 && bytes.length > 0) this.#lineFirst = bytes[0]!;
    this.#lineBytes += bytes.length;
    this.#dataBytes += bytes.length;
  }

  /** Drops the rest of the current event; its bytes still count towards `eventBytesMax`. */
  #skipEvent(): void {
    this.#isLong = true;
    this.#data = [];
    this.#lineBytes = this.#rest.length;
    this.#lineFirst = this.#rest.view()[0] ?? 0;
    this.#dataBytes += this.#rest.length;
    this.#rest.clear();
  }

  #endLongLine(): void {
    const isBlank = this.#lineBytes === 0 || (this.#lineBytes === 1 && this.#lineFirst === carriageReturn);
    this.#lineBytes = 0;
    if (!isBlank) return;
    this.#isLong = false;
    this.#dataBytes = 0;
    this.#onLong();
  }

  /** @param lineEnd offset of its LF; a CR before it belongs to the line end */
  #line(bytes: Buffer, start: number, lineEnd: number): void {
    const end = lineEnd > start && bytes[lineEnd - 1] === carriageReturn ? lineEnd - 1 : lineEnd;
    if (end === start) {
      if (this.#data.length === 0) return;
      const data = this.#data.length === 1 ? this.#data[0]! : this.#data.join('\n');
      this.#data = [];
      this.#dataBytes = 0;
      this.#onData(data);
      return;
    }
    // "data", then ":", then at most one space.
    if (bytes[start] !== 0x64 || end - start < 5 || bytes.toString('latin1', start, start + 5) !== 'data:') return;
    const from = bytes[start + 5] === 0x20 ? start + 6 : start + 5;
    this.#assertFits(end - from);
    if (this.#data.length === SseSplitter.eventLinesMax) {
      throw new RangeError(`a server-sent event has more than ${SseSplitter.eventLinesMax} lines of data`);
    }
    this.#dataBytes += end - from;
    if (this.#dataBytes > this.#keptBytesMax) {
      this.#isLong = true;
      this.#data = [];
    } else this.#data.push(bytes.toString('utf8', from, end));
  }

  /** Called once per chunk: data that comes and goes within a chunk is no larger than it. */
  #account(hold: MemoryHold): void {
    const heldBytes = this.#isLong ? 0 : bytesPerCharacter * this.#dataBytes + lineOverheadBytes * this.#data.length;
    if (heldBytes > this.#heldBytes) hold.take(heldBytes - this.#heldBytes);
    else hold.give(this.#heldBytes - heldBytes);
    this.#heldBytes = heldBytes;
  }

  #assertFits(moreBytes: number): void {
    if (this.#dataBytes + moreBytes <= SseSplitter.eventBytesMax) return;
    throw new RangeError(`a server-sent event exceeds ${SseSplitter.eventBytesMax} bytes`);
  }
}

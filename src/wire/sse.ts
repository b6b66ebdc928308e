// Cuts a byte stream of server-sent events into the data of each event, across any chunk boundary.

import { ByteCollector, type MemoryHold } from './byte-collector.ts';

const LF = 0x0a;
const CR = 0x0d;

/** Of one line of data as a string, beside its characters. */
const lineOverheadBytes = 64;
const bytesPerCharacter = 2;

export interface SseOptions {
  /** Of a longer event nothing is kept; `onLong` hears of its end. Default: `SseSplitter.eventBytesMax` */
  readonly keptBytesMax?: number;
  readonly onLong?: () => void;
  /** Counts the memory of what is kept; what it throws ends the stream. Default: nobody counts it */
  readonly hold?: MemoryHold | null;
}

/**
 * Feed it with `push`; it calls `onData` once for each event that has data, with that data as text (several `data:`
 * lines joined by a newline, as the HTML standard says). Comments and other fields are skipped. Lines end with LF,
 * CRLF or CR LF split over two chunks. O(bytes), however they are cut.
 */
export class SseSplitter {
  /** Bytes of the event that is not complete yet; longer ones end the stream with an error. */
  static readonly eventBytesMax: number = 16 * 1024 * 1024;
  /** Lines of data in one event, which may be empty; likewise. */
  static readonly eventLinesMax: number = 64 * 1024;

  readonly #onData: (data: string) => void;
  readonly #onLong: () => void;
  readonly #keptBytesMax: number;
  readonly #hold: MemoryHold | null;
  /** The beginning of a line whose end has not come. */
  readonly #rest: ByteCollector;
  #data: string[] = [];
  /** What `#data` has in the account. */
  #heldBytes = 0;
  #dataBytes = 0;
  /** The current event is longer than what is kept. */
  #isLong = false;
  /** Of a long event: bytes of the line whose end has not come, and the first of them. */
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

  /**
   * @throws RangeError if one event exceeds `eventBytesMax` or `eventLinesMax`, or what the hold throws; it is of no more
   * use then
   */
  push(chunk: Buffer): void {
    let lineStart = 0;
    for (let lineEnd = chunk.indexOf(LF); lineEnd !== -1; lineEnd = chunk.indexOf(LF, lineStart)) {
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

  /** A part of a line, for as long as its end has not come. */
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

  /** Nothing of the event is kept from now on; its bytes still count. */
  #skipEvent(): void {
    this.#isLong = true;
    this.#data = [];
    this.#lineBytes = this.#rest.length;
    this.#lineFirst = this.#rest.view()[0] ?? 0;
    this.#dataBytes += this.#rest.length;
    this.#rest.clear();
  }

  #endLongLine(): void {
    const isBlank = this.#lineBytes === 0 || (this.#lineBytes === 1 && this.#lineFirst === CR);
    this.#lineBytes = 0;
    if (!isBlank) return;
    this.#isLong = false;
    this.#dataBytes = 0;
    this.#onLong();
  }

  /** @param lineEnd where its LF is; a CR in front of that belongs to it */
  #line(bytes: Buffer, start: number, lineEnd: number): void {
    const end = lineEnd > start && bytes[lineEnd - 1] === CR ? lineEnd - 1 : lineEnd;
    if (end === start) {
      if (this.#data.length === 0) return;
      const data = this.#data.length === 1 ? this.#data[0]! : this.#data.join('\n');
      this.#data = [];
      this.#dataBytes = 0;
      this.#onData(data);
      return;
    }
    // "data" then ":" then at most one space.
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

  /** Once for each chunk: what comes and goes within one is no larger than it. */
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

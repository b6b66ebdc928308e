// Cuts a byte stream of server-sent events into the data of each event, across any chunk boundary.

import { ByteCollector } from './byte-collector.ts';

const LF = 0x0a;
const CR = 0x0d;

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
  /** The beginning of a line whose end has not come. */
  readonly #rest = new ByteCollector();
  #data: string[] = [];
  #dataBytes = 0;

  constructor(onData: (data: string) => void) {
    this.#onData = onData;
  }

  /** @throws RangeError if one event exceeds `eventBytesMax` or `eventLinesMax`; it is of no more use then. */
  push(chunk: Buffer): void {
    let lineStart = 0;
    for (let lineEnd = chunk.indexOf(LF); lineEnd !== -1; lineEnd = chunk.indexOf(LF, lineStart)) {
      if (this.#rest.length === 0) this.#line(chunk, lineStart, lineEnd);
      else {
        this.#hold(chunk.subarray(lineStart, lineEnd));
        this.#line(this.#rest.view(), 0, this.#rest.length);
        this.#rest.clear();
      }
      lineStart = lineEnd + 1;
    }
    if (lineStart < chunk.length) this.#hold(chunk.subarray(lineStart));
  }

  #hold(bytes: Buffer): void {
    this.#assertFits(this.#rest.length + bytes.length);
    this.#rest.append(bytes);
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
    this.#data.push(bytes.toString('utf8', from, end));
    this.#dataBytes += end - from;
  }

  #assertFits(moreBytes: number): void {
    if (this.#dataBytes + moreBytes <= SseSplitter.eventBytesMax) return;
    throw new RangeError(`a server-sent event exceeds ${SseSplitter.eventBytesMax} bytes`);
  }
}

// Cuts a byte stream of server-sent events into the data of each event, across any chunk boundary.

const LF = 0x0a;
const CR = 0x0d;

/**
 * Feed it with `push`; it calls `onData` once for each event that has data, with that data as text (several `data:`
 * lines joined by a newline, as the HTML standard says). Comments and other fields are skipped. Lines end with LF,
 * CRLF or CR LF split over two chunks.
 */
export class SseSplitter {
  /** Bytes of the event that is not complete yet; longer ones end the stream with an error. */
  static readonly eventBytesMax: number = 16 * 1024 * 1024;

  readonly #onData: (data: string) => void;
  #rest: Buffer = Buffer.alloc(0);
  #data: string[] = [];
  #dataBytes = 0;

  constructor(onData: (data: string) => void) {
    this.#onData = onData;
  }

  /** @throws RangeError if one event exceeds `eventBytesMax`. */
  push(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let lineStart = 0;
    for (;;) {
      const lineEnd = bytes.indexOf(LF, lineStart);
      if (lineEnd === -1) break;
      const end = lineEnd > lineStart && bytes[lineEnd - 1] === CR ? lineEnd - 1 : lineEnd;
      this.#line(bytes, lineStart, end);
      lineStart = lineEnd + 1;
    }
    this.#rest = lineStart === bytes.length ? Buffer.alloc(0) : bytes.subarray(lineStart);
    if (this.#rest.length + this.#dataBytes > SseSplitter.eventBytesMax) {
      throw new RangeError(`a server-sent event exceeds ${SseSplitter.eventBytesMax} bytes`);
    }
  }

  #line(bytes: Buffer, start: number, end: number): void {
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
    this.#data.push(bytes.toString('utf8', from, end));
    this.#dataBytes += end - from;
  }
}

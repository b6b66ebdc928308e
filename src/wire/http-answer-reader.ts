// Reads the HTTP/1.1 answers of one connection: head, body without its framing, end. No I/O.

import { ByteCollector } from './byte-collector.ts';
import {
  type AnswerHeaders,
  beginsLikeHead,
  HttpFormatError,
  idleMsOf,
  lengthOf,
  noStatusLine,
  parseHead,
  staysOpen,
} from './http-answer-head.ts';

export { type AnswerHeaders, HttpFormatError } from './http-answer-head.ts';

/** Receives an answer in order. Its exceptions pass through `push`. */
export interface AnswerSink {
  /** Also called for informational answers (1xx), which have no body and no end. */
  head(status: number, headers: AnswerHeaders): void;
  /** At most once for each `push`. The bytes are valid only during the call. */
  body(bytes: Buffer): void;
  end(): void;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const headEnd = Buffer.from('\r\n\r\n');

type State =
  | 'idle'
  | 'head'
  | 'length'
  | 'until-end'
  | 'size'
  | 'extension'
  | 'size-end'
  | 'data'
  | 'data-cr'
  | 'data-lf'
  | 'trailer'
  | 'trailer-end';

/** Whether and how long the connection can be used after an answer. */
export interface KeepAlive {
  readonly keep: boolean;
  /** The engine's announced timeout of idle connections; null: none. */
  readonly idleMs: number | null;
}

/**
 * Call `begin`, then `push` until the sink's `end`, then `begin` again. Strict: lines end with CRLF, sizes are plain.
 * O(bytes), however they are cut.
 */
export class HttpAnswerReader {
  /** Limit on the bytes of a head, on those of the informational ones before it, and on those of the trailers. */
  static readonly headBytesMax: number = 16 * 1024;
  /** Limit on a chunk's size line with its extensions. */
  static readonly sizeLineBytesMax: number = 4096;
  /** Limit on the hexadecimal digits of a chunk's size, so that it is an exact number. */
  static readonly sizeDigitsMax: number = 13;

  readonly #sink: AnswerSink;
  /** An incomplete head. */
  readonly #head = new ByteCollector();
  #state: State = 'idle';
  /** Bytes so far of informational heads. */
  #informationalBytes = 0;
  #hasNoBody = false;
  /** Bytes missing from the body or the chunk. */
  #missingBytes = 0;
  #digits = 0;
  /** Bytes so far of the size line, or of the trailers. */
  #lineBytes = 0;
  /** Bytes of the trailer line so far. */
  #trailerLineBytes = 0;
  #keepAlive: KeepAlive = { keep: false, idleMs: null };
  /** The rest of the current push is ignored. */
  #isOver = false;
  /** Range of the body bytes in the current push. */
  #from = 0;
  #to = 0;

  constructor(sink: AnswerSink) {
    this.#sink = sink;
  }

  /** Whether no answer is being read. */
  get idle(): boolean {
    return this.#state === 'idle';
  }

  /** From the last complete head. */
  get keepAlive(): KeepAlive {
    return this.#keepAlive;
  }

  /** Expects an answer. @param toHead to a HEAD request, whose answer announces a length but has no body */
  begin(toHead: boolean): void {
    this.#state = 'head';
    this.#informationalBytes = 0;
    this.#hasNoBody = toHead;
    this.#head.clear();
  }

  /** Ends reading: the rest of the current push is dropped. */
  stop(): void {
    this.#state = 'idle';
    this.#isOver = true;
  }

  /**
   * Overwrites `bytes`, in which it joins the chunks of a body.
   * @returns number of bytes after the end of the answer; if there are any, the connection can't be used again
   * @throws HttpFormatError after the sink has got the body before the fault
   */
  push(bytes: Buffer): number {
    let at = 0;
    this.#from = 0;
    this.#to = 0;
    this.#isOver = this.#state === 'idle';
    try {
      while (at < bytes.length && !this.#isOver) at = this.#step(bytes, at);
    } catch (error) {
      if (error instanceof HttpFormatError) this.#flush(bytes);
      throw error;
    }
    this.#flush(bytes);
    return bytes.length - at;
  }

  /** Call when the connection has ended. @returns whether that completes the answer */
  close(): boolean {
    if (this.#state !== 'until-end') return false;
    this.#state = 'idle';
    this.#sink.end();
    return true;
  }

  /** @returns offset of the next step */
  #step(bytes: Buffer, at: number): number {
    const byte = bytes[at]!;
    switch (this.#state) {
      case 'head':
        return this.#readHead(bytes, at);
      case 'length':
        return this.#readLength(bytes, at);
      case 'until-end':
        this.#piece(bytes, at, bytes.length);
        return bytes.length;
      case 'size':
        return this.#readSize(byte, at);
      case 'extension':
        this.#countLine();
        if (byte === lineFeed) throw new HttpFormatError('a size line of the body does not end with CRLF');
        if (byte === carriageReturn) this.#state = 'size-end';
        return at + 1;
      case 'size-end':
        this.#expect(byte, lineFeed);
        if (this.#missingBytes === 0) this.#beginTrailers();
        else this.#state = 'data';
        return at + 1;
      case 'data':
        return this.#readChunk(bytes, at);
      case 'data-cr':
        this.#expect(byte, carriageReturn);
        this.#state = 'data-lf';
        return at + 1;
      case 'data-lf':
        this.#expect(byte, lineFeed);
        this.#beginSize();
        return at + 1;
      case 'trailer':
        return this.#readTrailer(byte, at);
      case 'trailer-end':
        this.#expect(byte, lineFeed);
        this.#state = 'trailer';
        if (this.#trailerLineBytes === 0) this.#finish(bytes);
        this.#trailerLineBytes = 0;
        return at + 1;
      case 'idle':
        return at;
    }
  }

  #readHead(bytes: Buffer, at: number): number {
    const known = this.#head.length;
    if (known === 0) {
      const end = bytes.indexOf(headEnd, at);
      if (end !== -1) {
        checkHeadBytes(end - at);
        this.#takeHead(bytes.toString('latin1', at, end));
        return end + headEnd.length;
      }
    }
    this.#head.append(bytes.subarray(at));
    const head = this.#head.view();
    const end = head.indexOf(headEnd, Math.max(0, known - headEnd.length + 1));
    checkHeadBytes(end === -1 ? head.length : end);
    if (end === -1) {
      if (!beginsLikeHead(head)) throw new HttpFormatError(noStatusLine);
      if (/(?:^|[^\r])\n/.test(head.toString('latin1')))
        throw new HttpFormatError('a line of the head does not end with CRLF');
      return bytes.length;
    }
    const text = head.toString('latin1', 0, end);
    this.#head.clear();
    this.#takeHead(text);
    return at + end + headEnd.length - known;
  }

  #takeHead(text: string): void {
    const { status, minor, headers } = parseHead(text);
    if (status === 100 || status === 101) throw new HttpFormatError(`status ${status}, which nobody asked for`);
    if (status < 200) {
      this.#informationalBytes += text.length;
      checkHeadBytes(this.#informationalBytes);
      this.#sink.head(status, headers);
      return;
    }
    this.#chooseBody(status, headers);
    this.#keepAlive = {
      keep: this.#state !== 'until-end' && staysOpen(minor, headers['connection']),
      idleMs: idleMsOf(headers['keep-alive']),
    };
    this.#isOver = this.#state === 'idle';
    const isEmpty = this.#isOver;
    this.#sink.head(status, headers);
    if (isEmpty) this.#sink.end();
  }

  /** `idle`: the answer has no body. */
  #chooseBody(status: number, headers: AnswerHeaders): void {
    const encoding = headers['transfer-encoding'];
    const length = headers['content-length'];
    if (encoding !== undefined && length !== undefined) {
      throw new HttpFormatError('an answer has both a content-length and a transfer-encoding');
    }
    const lengthBytes = length === undefined ? null : lengthOf(length);
    if (this.#hasNoBody || status === 204 || status === 304) this.#state = 'idle';
    else if (encoding !== undefined) {
      if (/(?:^|,)[ \t]*chunked[ \t]*$/i.test(String(encoding))) this.#beginSize();
      else this.#state = 'until-end';
    } else if (lengthBytes === null) this.#state = 'until-end';
    else {
      this.#missingBytes = lengthBytes;
      this.#state = lengthBytes === 0 ? 'idle' : 'length';
    }
  }

  #readLength(bytes: Buffer, at: number): number {
    const end = this.#takeMissing(bytes, at);
    if (this.#missingBytes === 0) this.#finish(bytes);
    return end;
  }

  #readChunk(bytes: Buffer, at: number): number {
    const end = this.#takeMissing(bytes, at);
    if (this.#missingBytes === 0) this.#state = 'data-cr';
    return end;
  }

  /** Takes what is missing of the body or the chunk, as far as it has come. @returns where it ends */
  #takeMissing(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#missingBytes);
    this.#piece(bytes, at, end);
    this.#missingBytes -= end - at;
    return end;
  }

  #beginSize(): void {
    this.#state = 'size';
    this.#missingBytes = 0;
    this.#digits = 0;
    this.#lineBytes = 0;
  }

  #readSize(byte: number, at: number): number {
    const digit = hexValue(byte);
    if (digit !== -1) {
      this.#digits += 1;
      if (this.#digits > HttpAnswerReader.sizeDigitsMax) throw new HttpFormatError('the size of a chunk is too large');
      this.#missingBytes = 16 * this.#missingBytes + digit;
      return at + 1;
    }
    if (this.#digits === 0) throw new HttpFormatError('a chunk has no size');
    if (byte === carriageReturn) this.#state = 'size-end';
    else if (byte === 0x3b || byte === 0x20 || byte === 0x09) this.#state = 'extension';
    else throw new HttpFormatError('the size of a chunk is not a hexadecimal number');
    return at + 1;
  }

  #beginTrailers(): void {
    this.#state = 'trailer';
    this.#lineBytes = 0;
    this.#trailerLineBytes = 0;
  }

  /** Skips trailers. */
  #readTrailer(byte: number, at: number): number {
    if (byte === lineFeed) throw new HttpFormatError('a trailer does not end with CRLF');
    if (byte === carriageReturn) this.#state = 'trailer-end';
    else {
      this.#trailerLineBytes += 1;
      this.#lineBytes += 1;
      checkHeadBytes(this.#lineBytes);
    }
    return at + 1;
  }

  #countLine(): void {
    this.#lineBytes += 1;
    if (this.#lineBytes <= HttpAnswerReader.sizeLineBytesMax) return;
    throw new HttpFormatError(`a size line of the body exceeds ${HttpAnswerReader.sizeLineBytesMax} bytes`);
  }

  #expect(byte: number, wanted: number): void {
    if (byte !== wanted) throw new HttpFormatError('the framing of the body is broken');
  }

  /** Joins a part of the body to the earlier parts of this push. */
  #piece(bytes: Buffer, start: number, end: number): void {
    if (this.#from === this.#to) {
      this.#from = start;
      this.#to = end;
      return;
    }
    bytes.copyWithin(this.#to, start, end);
    this.#to += end - start;
  }

  #flush(bytes: Buffer): void {
    const body = bytes.subarray(this.#from, this.#to);
    this.#from = 0;
    this.#to = 0;
    if (body.length > 0) this.#sink.body(body);
  }

  #finish(bytes: Buffer): void {
    this.#flush(bytes);
    // The sink may have stopped the reading.
    if (this.#isOver) return;
    this.stop();
    this.#sink.end();
  }
}

function checkHeadBytes(bytes: number): void {
  if (bytes <= HttpAnswerReader.headBytesMax) return;
  throw new HttpFormatError(`the headers of an answer exceed ${HttpAnswerReader.headBytesMax} bytes`);
}

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

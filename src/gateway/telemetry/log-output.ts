// Where the lines of the log go: a descriptor whose disk may be full and whose reader may be slow. Nothing waits for it.

import { write, writeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { Counter, type Registry } from 'prom-client';

/** Bytes of lines that may wait; further ones are lost, and counted. */
export const logBufferBytesMax: number = 4 * 1024 * 1024;
/** A pipe takes so many bytes at once: lines of other processes can't come between them. */
const pieceBytesMax = 4096;
/** The reader is slow. */
const fullRetryMs = 20;
/** The disk is full, or nobody reads any more. */
const failedRetryMs = 1000;
const warnLevel = 40;

/** As `write` of `node:fs`. */
type WriteBytes = (
  fd: number,
  bytes: Buffer,
  offset: number,
  length: number,
  position: null,
  done: (error: NodeJS.ErrnoException | null, written: number) => void,
) => void;

export interface LogOutputOptions {
  readonly fd: number;
  /** Default: `logBufferBytesMax`. */
  readonly bufferBytesMax?: number;
  readonly writeBytes?: WriteBytes;
}

export class LogOutput {
  readonly #fd: number;
  readonly #bufferBytesMax: number;
  readonly #writeBytes: WriteBytes;
  #lines: string[] = [];
  /** Lines before it have been taken. */
  #at = 0;
  /** Of the lines that have not been taken. */
  #waitingBytes = 0;
  /** What is being written, and how much of it has been; null: nothing. */
  #piece: Buffer | null = null;
  #from = 0;
  /** The system has not said yet what became of the latest write. */
  #underWay = false;
  #lostLines = 0;
  #toldLines = 0;

  constructor({ fd, bufferBytesMax = logBufferBytesMax, writeBytes = write }: LogOutputOptions) {
    this.#fd = fd;
    this.#bufferBytesMax = bufferBytesMax;
    this.#writeBytes = writeBytes;
  }

  /** Since the start. */
  get lostLines(): number {
    return this.#lostLines;
  }

  /** @param line with its end */
  write(line: string): void {
    const bytes = Buffer.byteLength(line);
    if (this.#waitingBytes + bytes > this.#bufferBytesMax) {
      this.#lostLines += 1;
      return;
    }
    const lines = this.#lostLines - this.#toldLines;
    if (lines > 0) {
      this.#toldLines = this.#lostLines;
      const told = { level: warnLevel, time: Date.now(), lines, msg: 'lines of the log are lost: it takes no more' };
      this.#keep(`${JSON.stringify(told)}\n`);
    }
    this.#keep(line, bytes);
    if (this.#piece === null) this.#next();
  }

  /** For the end of the process: writes what waits, as far as that does not take time. */
  flushSync(): void {
    if (this.#underWay) this.#piece = null;
    try {
      for (let piece = this.#piece ?? this.#take(); piece !== null; piece = this.#take()) {
        const from = piece === this.#piece ? this.#from : 0;
        for (let at = from; at < piece.length; ) at += writeSync(this.#fd, piece, at);
        this.#piece = null;
      }
    } catch {
      // The lines are lost with the process.
    }
  }

  #keep(line: string, bytes: number = Buffer.byteLength(line)): void {
    this.#lines.push(line);
    this.#waitingBytes += bytes;
  }

  #next(): void {
    this.#piece = this.#take();
    this.#from = 0;
    if (this.#piece !== null) this.#send(this.#piece);
  }

  #send(piece: Buffer): void {
    this.#underWay = true;
    this.#writeBytes(this.#fd, piece, this.#from, piece.length - this.#from, null, (error, written) => {
      this.#underWay = false;
      // It was flushed meanwhile.
      if (this.#piece !== piece) return;
      if (error !== null) {
        const retryMs = error.code === 'EAGAIN' ? fullRetryMs : failedRetryMs;
        setTimeout(() => this.#piece === piece && this.#send(piece), retryMs).unref();
        return;
      }
      this.#from += written;
      if (this.#from < piece.length) this.#send(piece);
      else this.#next();
    });
  }

  /** Whole lines, one at least. */
  #take(): Buffer | null {
    if (this.#at === this.#lines.length) return null;
    let text = this.#lines[this.#at++]!;
    while (this.#at < this.#lines.length && text.length + this.#lines[this.#at]!.length <= pieceBytesMax) {
      text += this.#lines[this.#at++]!;
    }
    if (this.#at > 1024 || this.#at === this.#lines.length) {
      this.#lines = this.#lines.slice(this.#at);
      this.#at = 0;
    }
    const piece = Buffer.from(text);
    this.#waitingBytes -= piece.length;
    return piece;
  }
}

/** A line of another process that is longer is cut into several. */
const foreignLineCharsMax = 65_536;

/** Lines of another process, such as the log of a thread. */
export function passLines(from: Readable, to: { write(line: string): void }): void {
  let begun = '';
  const end = (): void => {
    if (begun !== '') to.write(`${begun}\n`);
    begun = '';
  };
  from.setEncoding('utf8');
  from.on('data', (text: string) => {
    const lines = (begun + text).split('\n');
    begun = lines.pop()!;
    for (const line of lines) to.write(`${line}\n`);
    if (begun.length > foreignLineCharsMax) end();
  });
  from.on('end', end);
  from.on('error', end);
}

let stderr: LogOutput | null = null;

/** The output of this process. */
export function logToStderr(): LogOutput {
  if (stderr !== null) return stderr;
  // Node makes a pipe non-blocking when it is asked for the stream.
  void process.stderr;
  const output = new LogOutput({ fd: 2 });
  process.once('exit', () => output.flushSync());
  stderr = output;
  return output;
}

export function registerLog(registry: Registry, lostLines: () => number): void {
  new Counter({
    name: 'kvoyant_log_lines_lost_total',
    help: 'Lines that the log could not take: its disk is full, or its reader too slow.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(lostLines());
    },
  });
}

// Filters an engine's metrics as they arrive: keeps the few lines that are read, drops megabytes of others.

import { labelsLengthMax, ranksMax } from './engine-limits.ts';

const lineFeed = 0x0a;
/** Lines kept per metric: one per rank, and one more so that its reader sees too many. */
export const linesMax: number = ranksMax + 1;

export class MetricsLines {
  readonly #starts: readonly string[];
  readonly #lineBytesMax: number;
  readonly #lines: string[] = [];
  readonly #counts: number[];
  /** Start of an incomplete line, cut at `#lineBytesMax`. */
  #rest: Buffer = Buffer.alloc(0);

  /** @param names metrics to keep */
  constructor(names: readonly string[]) {
    this.#starts = names.map((name) => `${name}{`);
    this.#counts = this.#starts.map(() => 0);
    // Longer than the reader accepts, so that it sees that a line is too long.
    this.#lineBytesMax = 2 * labelsLengthMax;
  }

  push(chunk: Buffer): void {
    const firstEnd = chunk.indexOf(lineFeed);
    if (firstEnd === -1) {
      this.#append(chunk);
      return;
    }
    this.#append(chunk.subarray(0, firstEnd));
    this.#search(this.#rest);
    const lastEnd = chunk.lastIndexOf(lineFeed);
    if (lastEnd > firstEnd) this.#search(chunk.subarray(firstEnd + 1, lastEnd));
    this.#rest = Buffer.alloc(0);
    this.#append(chunk.subarray(lastEnd + 1));
  }

  /** The kept lines, each with its line feed. */
  end(): string {
    this.#search(this.#rest);
    this.#rest = Buffer.alloc(0);
    return this.#lines.join('');
  }

  #append(bytes: Buffer): void {
    const room = this.#lineBytesMax - this.#rest.length;
    // `concat` copies; a slice would keep the socket's whole buffer alive.
    if (room > 0 && bytes.length > 0) this.#rest = Buffer.concat([this.#rest, bytes.subarray(0, room)]);
  }

  /** @param bytes whole lines */
  #search(bytes: Buffer): void {
    for (const [i, start] of this.#starts.entries()) {
      for (let at = bytes.indexOf(start, 0, 'latin1'); at !== -1; at = bytes.indexOf(start, at + 1, 'latin1')) {
        if (this.#counts[i]! >= linesMax) break;
        if (at > 0 && bytes[at - 1] !== lineFeed) continue;
        const end = bytes.indexOf(lineFeed, at);
        const length = Math.min((end === -1 ? bytes.length : end) - at, this.#lineBytesMax);
        this.#counts[i]! += 1;
        this.#lines.push(`${bytes.toString('utf8', at, at + length)}\n`);
      }
    }
  }
}

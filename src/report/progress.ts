// Progress line of a long run: rewritten in place on a terminal, otherwise one line every few seconds.

export interface ProgressSink {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const returnAndErase = '\r\u001b[2K';

/** Width of a terminal that reports 0 or no columns. */
const columnsUnknown = 80;

export class Progress {
  /** Between two rewrites on a terminal. */
  static readonly rewriteGapMs = 100;
  /** Between two lines in a file or pipe. */
  static readonly lineGapMs = 5000;

  readonly #sink: ProgressSink;
  readonly #now: () => number;
  #shown = false;
  #lastMs = Number.NEGATIVE_INFINITY;

  /** @param now monotonic, in milliseconds */
  constructor(sink: ProgressSink, now: () => number) {
    this.#sink = sink;
    this.#now = now;
  }

  /** Shows the line, unless another was shown a moment ago. */
  update(line: string): void {
    const nowMs = this.#now();
    const terminal = this.#sink.isTTY === true;
    if (nowMs - this.#lastMs < (terminal ? Progress.rewriteGapMs : Progress.lineGapMs)) return;
    this.#lastMs = nowMs;
    if (terminal) {
      // A wrapped line could not be erased.
      this.#sink.write(`${returnAndErase}${line.slice(0, (this.#sink.columns || columnsUnknown) - 1)}`);
      this.#shown = true;
    } else {
      this.#sink.write(`${line}\n`);
    }
  }

  /** Removes the line from a terminal. The next update is shown at once. */
  clear(): void {
    if (this.#shown) this.#sink.write(returnAndErase);
    this.#shown = false;
    this.#lastMs = Number.NEGATIVE_INFINITY;
  }

  /** Writes a line that stays. */
  note(line: string): void {
    this.clear();
    this.#sink.write(`${line}\n`);
  }
}

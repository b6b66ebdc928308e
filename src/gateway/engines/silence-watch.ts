// Judges by its silence whether an engine is still at work: pure, fed with what is heard of it and how time passes.

/** Newest gaps between two pieces of a stream that are remembered. */
const gapsMax = 512;
const decodeSilenceMsMin = 1000;
const prefillSilenceMsMin = 2000;
/** How much longer than foreseen a prefill may take. */
const prefillSlack = 3;
const gapSlack = 10;
/** Silence that is reason enough to ask the engine whether it lives, whatever it is doing. */
const quietMsMin = 2000;

/** What the engine owes at the moment. */
export interface Expected {
  /** Streams past their first token whose client reads. */
  readonly decoding: number;
  /** Streams before their first token. */
  readonly prefilling: number;
  /** Answers that come in one piece, whenever they are ready: their silence says little. */
  readonly whole: number;
  /** Booked uncached tokens over the observed speed of prefill. */
  readonly prefillMs: number;
}

/**
 * `well`: nothing is owed, or something came lately. `quiet`: worth a question. `suspect`: silent for longer than is
 * normal. `hung`: silent for twice as long.
 */
export type SilenceVerdict = 'well' | 'quiet' | 'suspect' | 'hung';

export class SilenceWatch {
  #silenceMs = 0;
  readonly #gapsMs: number[] = [];
  #nextGap = 0;

  get silenceMs(): number {
    return this.#silenceMs;
  }

  /** Something came, or the engine had owed nothing until now. */
  heard(): void {
    this.#silenceMs = 0;
  }

  /** Two pieces of one stream came so far apart. */
  gap(ms: number): void {
    this.#gapsMs[this.#nextGap] = ms;
    this.#nextGap = (this.#nextGap + 1) % gapsMax;
  }

  /** @param elapsedMs time in which nothing could have come unheard */
  advance(elapsedMs: number, expected: Expected): SilenceVerdict {
    if (expected.decoding + expected.prefilling + expected.whole === 0) {
      this.#silenceMs = 0;
      return 'well';
    }
    this.#silenceMs += elapsedMs;
    const silenceMs = this.#silenceMs;
    if (silenceMs <= decodeSilenceMsMin) return 'well';
    const prefillLimitMs = prefillSilenceMsMin + prefillSlack * expected.prefillMs;
    const limitMs = this.#limitMs(expected, prefillLimitMs);
    // Without chunked prefill a long prompt stands in the way of all streams; that alone is no reason to end them.
    const hungMs = 2 * (expected.prefilling > 0 ? Math.max(limitMs, prefillLimitMs) : limitMs);
    if (silenceMs > hungMs) return 'hung';
    if (silenceMs > limitMs) return 'suspect';
    return silenceMs > quietMsMin ? 'quiet' : 'well';
  }

  /** Silence from which the engine is suspected. */
  #limitMs({ decoding, prefilling }: Expected, prefillLimitMs: number): number {
    if (decoding > 0) return Math.max(decodeSilenceMsMin, gapSlack * this.gapP99Ms());
    return prefilling > 0 ? prefillLimitMs : Number.POSITIVE_INFINITY;
  }

  /** 0 before any gap. O(n log n) of at most `gapsMax`; only asked for once silence has lasted. */
  gapP99Ms(): number {
    if (this.#gapsMs.length === 0) return 0;
    const sorted = this.#gapsMs.toSorted((a, b) => a - b);
    return sorted[Math.ceil(sorted.length * 0.99) - 1]!;
  }
}

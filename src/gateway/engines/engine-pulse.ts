// Whether an engine with requests under way is alive: a state machine without clock, I/O or words.
//
//                silent for longer than normal            /health unanswered for 2 s, or it says no
//       well ───────────────────────────────▶ stalled ─────────────────────────────────────────▶ dead
//        ▲ │                                     │                                                ▲
//        │ └─ silent for 1 or 2 s: /health is asked, here and there; the same answers end it ─────┘
//        └───────────── something is heard ──────┘
//
// `stalled` is no fault: engines compile, collect garbage, compute long prompts. New requests prefer other engines, and
// what has no token yet may go to one that is likely to be faster. Only `dead` ends streams that have tokens.

/** Newest gaps between two pieces of a stream that are remembered. */
const gapsMax = 512;
const decodeSilenceMsMin = 1000;
const prefillSilenceMsMin = 2000;
/** How much longer than foreseen a prefill may take. */
const prefillSlack = 3;
const gapSlack = 10;
/** Between an answer of /health and the next question. */
const askIntervalMs = 1000;
/** An engine that does not answer /health for so long, and sends nothing else, is dead. */
export const unansweredMsMax = 2000;

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

export type PulseState = 'well' | 'stalled' | 'dead';

/** What came of a question: it answered; it answered that it is ill; nothing listens; there was no answer. */
export type HealthAnswer = 'alive' | 'ill' | 'refused' | 'none';

export interface PulseStep {
  readonly state: PulseState;
  /** Ask for /health now; what comes of it is to be told by `answered`. */
  readonly ask: boolean;
  /** Stalled for so long that requests without a token may look elsewhere. */
  readonly overdue: boolean;
}

export class EnginePulse {
  #state: PulseState = 'well';
  #silenceMs = 0;
  /** A question is under way. */
  #asked = false;
  /** Since the first question that has not been answered; null: none is open. */
  #unansweredMs: number | null = null;
  #restedMs = askIntervalMs;
  /** Rises with each silence, so that a late answer is not taken for one to the present question. */
  #silences = 0;
  readonly #gapsMs: number[] = [];
  #nextGap = 0;

  get state(): PulseState {
    return this.#state;
  }

  get silenceMs(): number {
    return this.#silenceMs;
  }

  /** Names the question that is asked next, for `answered`. */
  get question(): number {
    return this.#silences;
  }

  /** Something came, or the engine had owed nothing until now. */
  heard(): void {
    this.#state = 'well';
    this.#silenceMs = 0;
    if (this.#asked || this.#unansweredMs !== null) this.#silences += 1;
    this.#asked = false;
    this.#unansweredMs = null;
    this.#restedMs = askIntervalMs;
  }

  /** Two pieces of one stream came so far apart. */
  gap(ms: number): void {
    this.#gapsMs[this.#nextGap] = ms;
    this.#nextGap = (this.#nextGap + 1) % gapsMax;
  }

  /** @param question as `question` was when it was asked */
  answered(question: number, answer: HealthAnswer): void {
    if (question !== this.#silences || this.#state === 'dead') return;
    this.#asked = false;
    if (answer === 'ill' || answer === 'refused') this.#state = 'dead';
    if (answer !== 'alive') return;
    this.#unansweredMs = null;
    this.#restedMs = 0;
  }

  /** @param elapsedMs time in which nothing could have come unheard */
  advance(elapsedMs: number, expected: Expected): PulseStep {
    if (expected.decoding + expected.prefilling + expected.whole === 0) {
      this.heard();
      return this.#step(false, false);
    }
    this.#silenceMs += elapsedMs;
    if (this.#unansweredMs !== null) this.#unansweredMs += elapsedMs;
    this.#restedMs += elapsedMs;
    if (this.#unansweredMs !== null && this.#unansweredMs >= unansweredMsMax) this.#state = 'dead';
    if (this.#state === 'dead') return this.#step(false, false);
    const prefillLimitMs = prefillSilenceMsMin + prefillSlack * expected.prefillMs;
    const limitMs = this.#limitMs(expected, prefillLimitMs);
    if (this.#silenceMs > limitMs) this.#state = 'stalled';
    // Without chunked prefill a long prompt stands in the way of all streams.
    const overdueMs = 2 * (expected.prefilling > 0 ? Math.max(limitMs, prefillLimitMs) : limitMs);
    return this.#step(this.#mayAsk(expected), this.#state === 'stalled' && this.#silenceMs > overdueMs);
  }

  /** 0 before any gap. O(n log n) of at most `gapsMax`; only asked for once silence has lasted. */
  gapP99Ms(): number {
    if (this.#gapsMs.length === 0) return 0;
    const sorted = this.#gapsMs.toSorted((a, b) => a - b);
    return sorted[Math.ceil(sorted.length * 0.99) - 1]!;
  }

  #mayAsk({ decoding }: Expected): boolean {
    const quietMs = decoding > 0 ? decodeSilenceMsMin : prefillSilenceMsMin;
    if (this.#asked || this.#silenceMs <= quietMs) return false;
    if (this.#unansweredMs === null && this.#restedMs < askIntervalMs) return false;
    this.#asked = true;
    this.#unansweredMs ??= 0;
    return true;
  }

  /** Silence from which the engine counts as stalled. */
  #limitMs({ decoding, prefilling }: Expected, prefillLimitMs: number): number {
    if (this.#silenceMs <= decodeSilenceMsMin) return Number.POSITIVE_INFINITY;
    if (decoding > 0) return Math.max(decodeSilenceMsMin, gapSlack * this.gapP99Ms());
    return prefilling > 0 ? prefillLimitMs : Number.POSITIVE_INFINITY;
  }

  #step(ask: boolean, overdue: boolean): PulseStep {
    return { state: this.#state, ask, overdue };
  }
}

// Whether an engine with requests under way is alive: a state machine without clock or I/O.
//
//                silent for longer than normal            /health unanswered for 2 s, or it says no
//       well ───────────────────────────────▶ stalled ─────────────────────────────────────────▶ dead
//        ▲ │                                     │                                                ▲
//        │ └─ silent for 1 s (prefilling: 2 s): /health is asked; the same answers lead to dead ──┘
//        └───────── the engine sends ────────────┘
//
// `stalled` is not a failure: engines compile, collect garbage, compute long prompts. New requests prefer other
// engines, and requests without a token may move to one likely to be faster. Only `dead` ends streams that have tokens.

/** Latest gaps between tokens of a stream that are kept. */
const gapsMax = 512;
const decodeSilenceMsMin = 1000;
const prefillSilenceMsMin = 2000;
/** Factor by which a prefill may exceed its expected time. */
const prefillSlack = 3;
const gapSlack = 10;
/** From an answer of /health to the next question. */
const askIntervalMs = 1000;
/** An engine that leaves /health unanswered for this long, and sends nothing else, is dead. */
export const unansweredMsMax = 2000;

/** What the requests under way expect of the engine. */
export interface Expected {
  /** Streams past their first token whose client reads. */
  readonly decoding: number;
  /** Streams before their first token. */
  readonly prefilling: number;
  /** Answers in one piece: silence before them is normal. */
  readonly whole: number;
  /** Booked uncached tokens divided by the observed prefill speed. */
  readonly prefillMs: number;
}

export type PulseState = 'well' | 'stalled' | 'dead';

/** Result of a /health question. `ill`: status 5xx. `refused`: nothing listens there. `none`: no answer. */
export type HealthAnswer = 'alive' | 'ill' | 'refused' | 'none';

export interface PulseStep {
  readonly state: PulseState;
  /** Ask /health now and pass the result to `answered`. */
  readonly ask: boolean;
  /** Stalled for so long that requests without a token may move to another engine. */
  readonly overdue: boolean;
}

export class EnginePulse {
  #state: PulseState = 'well';
  #silenceMs = 0;
  /** A question is under way. */
  #asked = false;
  /** Time since the first unanswered question; null: none. */
  #unansweredMs: number | null = null;
  #restedMs = askIntervalMs;
  /** Counts silences with a question, so that a late answer is not taken for one to the current question. */
  #silences = 0;
  readonly #gapsMs: number[] = [];
  #nextGap = 0;

  get state(): PulseState {
    return this.#state;
  }

  get silenceMs(): number {
    return this.#silenceMs;
  }

  /** Id of the next question, to be passed to `answered`. */
  get question(): number {
    return this.#silences;
  }

  /** The engine sent something, or no request expected anything until now. */
  heard(): void {
    this.#state = 'well';
    this.#silenceMs = 0;
    if (this.#asked || this.#unansweredMs !== null) this.#silences += 1;
    this.#asked = false;
    this.#unansweredMs = null;
    this.#restedMs = askIntervalMs;
  }

  /** @param ms between two tokens of one stream */
  gap(ms: number): void {
    this.#gapsMs[this.#nextGap] = ms;
    this.#nextGap = (this.#nextGap + 1) % gapsMax;
  }

  /** @param question value of `question` when it was asked */
  answered(question: number, answer: HealthAnswer): void {
    if (question !== this.#silences || this.#state === 'dead') return;
    this.#asked = false;
    if (answer === 'ill' || answer === 'refused') this.#state = 'dead';
    if (answer !== 'alive') return;
    this.#unansweredMs = null;
    this.#restedMs = 0;
  }

  /** @param elapsedMs since the last call, during which anything sent would have been noticed */
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
    // Without chunked prefill, a long prompt delays every stream.
    const overdueMs = 2 * (expected.prefilling > 0 ? Math.max(limitMs, prefillLimitMs) : limitMs);
    return this.#step(this.#mayAsk(expected), this.#state === 'stalled' && this.#silenceMs > overdueMs);
  }

  /** 0 without gaps. O(n log n) with n at most `gapsMax`; called only after `decodeSilenceMsMin` of silence. */
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

  /** Silence beyond which the engine counts as stalled. */
  #limitMs({ decoding, prefilling }: Expected, prefillLimitMs: number): number {
    if (this.#silenceMs <= decodeSilenceMsMin) return Number.POSITIVE_INFINITY;
    if (decoding > 0) return Math.max(decodeSilenceMsMin, gapSlack * this.gapP99Ms());
    return prefilling > 0 ? prefillLimitMs : Number.POSITIVE_INFINITY;
  }

  #step(ask: boolean, overdue: boolean): PulseStep {
    return { state: this.#state, ask, overdue };
  }
}

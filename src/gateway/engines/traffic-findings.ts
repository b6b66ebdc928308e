// What the answers of ordinary requests show to be wrong with a worker, for as long as they show it.

export interface TrafficFinding {
  readonly cause: 'token-count' | 'cache-prediction';
  readonly message: string;
}

/** Prompts that are remembered; a finding ends when they no longer bear it out. */
const recentMax = 16;
/** Of these, with another number of tokens. */
const miscountedMin = 3;
/** Of these, with other tokens found in the cache than predicted: some are, wherever events come late. */
const mispredictedMin = 12;
/** Between two lines of the log about one cause. */
const silenceMs = 60_000;

export type PromptCheck = 'miscounted' | 'mispredicted' | 'as-predicted';

export class TrafficFindings {
  readonly #recent: PromptCheck[] = [];
  readonly #saidMs = new Map<TrafficFinding['cause'], number>();

  /** @returns what is to be said now: a finding that was not said for a while */
  note(check: PromptCheck, nowMs: number): TrafficFinding | null {
    this.#recent.push(check);
    if (this.#recent.length > recentMax) this.#recent.shift();
    if (check === 'as-predicted') return null;
    const cause = check === 'miscounted' ? 'token-count' : 'cache-prediction';
    const finding = this.current.find((one) => one.cause === cause);
    if (finding === undefined || nowMs - (this.#saidMs.get(cause) ?? Number.NEGATIVE_INFINITY) < silenceMs) return null;
    this.#saidMs.set(cause, nowMs);
    return finding;
  }

  /** Empty: nothing is wrong. */
  get current(): readonly TrafficFinding[] {
    const count = (check: PromptCheck): number => this.#recent.filter((each) => each === check).length;
    const [miscounted, mispredicted] = [count('miscounted'), count('mispredicted')];
    const findings: TrafficFinding[] = [];
    if (miscounted >= miscountedMin) {
      const message = `it counted other tokens than we do in ${miscounted} of the last ${this.#recent.length} prompts: its tokenizer or its chat template is another one, and their blocks do not match`;
      findings.push({ cause: 'token-count', message });
    }
    if (mispredicted >= mispredictedMin) {
      const message = `in ${mispredicted} of the last ${this.#recent.length} prompts it found other tokens in its cache than predicted, though it counts as many: its template may write other tokens than ours, or its KV events are late or lost`;
      findings.push({ cause: 'cache-prediction', message });
    }
    return findings;
  }
}

// Findings about a worker from the answers to ordinary requests; each lasts as long as recent answers support it.

export interface TrafficFinding {
  readonly cause: 'token-count' | 'cache-prediction';
  readonly message: string;
}

/** Prompts remembered; a finding ends when they no longer support it. */
const recentMax = 16;
/** Of these, prompts with a different token count. */
const miscountedMin = 3;
/** Of these, prompts with cached tokens other than predicted; late events always cause some. */
const mispredictedMin = 12;
/** Pause between two log lines about one cause. */
const logPauseMs = 60_000;

export type PromptCheck = 'miscounted' | 'mispredicted' | 'as-predicted';

export class TrafficFindings {
  readonly #recent: PromptCheck[] = [];
  readonly #saidMs = new Map<TrafficFinding['cause'], number>();

  /** @returns a finding to log now: one not logged for a while */
  note(check: PromptCheck, nowMs: number): TrafficFinding | null {
    this.#recent.push(check);
    if (this.#recent.length > recentMax) this.#recent.shift();
    if (check === 'as-predicted') return null;
    const cause = check === 'miscounted' ? 'token-count' : 'cache-prediction';
    const finding = this.current.find((one) => one.cause === cause);
    if (finding === undefined || nowMs - (this.#saidMs.get(cause) ?? Number.NEGATIVE_INFINITY) < logPauseMs)
      return null;
    this.#saidMs.set(cause, nowMs);
    return finding;
  }

  /** Empty: no fault was found. */
  get current(): readonly TrafficFinding[] {
    const count = (check: PromptCheck): number => this.#recent.filter((each) => each === check).length;
    const [miscounted, mispredicted] = [count('miscounted'), count('mispredicted')];
    const findings: TrafficFinding[] = [];
    if (miscounted >= miscountedMin) {
      const message = `its token count differed from ours in ${miscounted} of the last ${this.#recent.length} prompts: its tokenizer or chat template differs, so their blocks do not match`;
      findings.push({ cause: 'token-count', message });
    }
    if (mispredicted >= mispredictedMin) {
      const message = `in ${mispredicted} of the last ${this.#recent.length} prompts its cached tokens differed from the prediction, with equal token counts: its chat template may produce other tokens, or its KV events are late or lost`;
      findings.push({ cause: 'cache-prediction', message });
    }
    return findings;
  }
}

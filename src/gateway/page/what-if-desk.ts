// Asks what another policy would have done with the recorded traffic: one question at a time, its answer kept.

import { RequestError } from '../../wire/openai-error.ts';
import type { WhatIf, WhatIfFigures, WhatIfRequest, WhatIfResult } from './what-if-data.ts';
import { time } from './why.ts';

export const whatIfMinutesMax = 60;
/** A run that takes longer is ended. */
const runMsMax = 120_000;
const minutesMin = 1;

/** What the runs of a question need. Plain data, since they run in a thread. */
export interface WhatIfQuestion {
  readonly path: string;
  /** Unix time of the recording's arrival 0. */
  readonly recordingStartMs: number;
  /** Unix times; arrivals before `fromMs`, as long again, warm the caches up. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly policies: readonly [baseline: string, asked: string];
  readonly workers: readonly WhatIfWorker[];
  readonly seed: number;
}

export interface WhatIfWorker {
  readonly kvTokens: number;
  readonly blockSize: number;
  /** Observed; null: not yet. */
  readonly msPerToken: number | null;
}

export interface WhatIfAnswer {
  readonly requests: number;
  readonly baseline: Omit<WhatIfFigures, 'label'>;
  readonly asked: Omit<WhatIfFigures, 'label'>;
  readonly notes: readonly string[];
}

/** Runs both policies over the recording. Bounds its own memory. Rejects with a message for people. */
export type RunWhatIf = (question: WhatIfQuestion, signal: AbortSignal) => Promise<WhatIfAnswer>;

export interface WhatIfSources {
  /** Null: this process can't run the lab. */
  readonly run: RunWhatIf | null;
  readonly policies: readonly string[];
  policy(): string;
  /** Null: no recording is on. */
  recording(): { readonly path: string; readonly startMs: number } | null;
  workers(): readonly WhatIfWorker[];
  /** The gateway's own figures of the last minutes. */
  happened(minutes: number): Omit<WhatIfFigures, 'label' | 'policy'>;
  readonly seed: number;
  nowMs(): number;
  changed(state: WhatIf): void;
}

type Outcome =
  | { readonly kind: 'idle' }
  | { readonly kind: 'running'; readonly request: WhatIfRequest; readonly startedMs: number }
  | { readonly kind: 'done'; readonly result: WhatIfResult }
  | { readonly kind: 'failed'; readonly request: WhatIfRequest; readonly message: string };

export class WhatIfDesk {
  readonly #sources: WhatIfSources;
  readonly #end = new AbortController();
  #outcome: Outcome = { kind: 'idle' };

  constructor(sources: WhatIfSources) {
    this.#sources = sources;
  }

  get state(): WhatIf {
    const { run, policies, recording } = this.#sources;
    if (run === null) {
      return {
        kind: 'off',
        howTo: 'This gateway was started by a program of its own, which brings no lab: kvoyant serve does.',
      };
    }
    if (recording() === null) return { kind: 'off', howTo: recordingHowTo };
    return { ...this.#outcome, policies, minutesMax: whatIfMinutesMax };
  }

  /** Starts a run. @throws RequestError 400 for a wrong question, 409 if one is running or no recording is on */
  ask(asked: unknown): WhatIf {
    const { run } = this.#sources;
    const recording = this.#sources.recording();
    if (run === null || recording === null) {
      const { state } = this;
      throw new RequestError(409, 'no_recording', state.kind === 'off' ? state.howTo : recordingHowTo);
    }
    if (this.#outcome.kind === 'running') {
      throw new RequestError(409, 'what_if_running', 'one question at a time: another is being answered');
    }
    const request = this.#read(asked);
    const startedMs = this.#sources.nowMs();
    this.#become({ kind: 'running', request, startedMs });
    void this.#answer(run, request, recording, startedMs);
    return this.state;
  }

  close(): void {
    this.#end.abort();
  }

  async #answer(
    run: RunWhatIf,
    request: WhatIfRequest,
    { path, startMs }: { readonly path: string; readonly startMs: number },
    nowMs: number,
  ): Promise<void> {
    const fromMs = nowMs - request.minutes * 60_000;
    const baseline = this.#sources.policy();
    const question: WhatIfQuestion = {
      path,
      recordingStartMs: startMs,
      fromMs,
      toMs: nowMs,
      policies: [baseline, request.policy],
      workers: this.#sources.workers(),
      seed: this.#sources.seed,
    };
    const late = AbortSignal.timeout(runMsMax);
    try {
      const answer = await run(question, AbortSignal.any([this.#end.signal, late]));
      const happened = { ...this.#sources.happened(request.minutes), policy: baseline, label: 'what happened' };
      const figures = {
        happened,
        baseline: { ...answer.baseline, label: `${baseline}, in the lab` },
        asked: { ...answer.asked, label: `${request.policy}, in the lab` },
      };
      const result: WhatIfResult = {
        request,
        fromMs,
        toMs: nowMs,
        requests: answer.requests,
        verdict: verdictOf(figures.baseline, figures.asked),
        ...figures,
        notes: answer.notes,
        tookMs: this.#sources.nowMs() - nowMs,
      };
      this.#become({ kind: 'done', result });
    } catch (error) {
      const message = late.aborted
        ? `the run took longer than ${runMsMax / 1000} s and was ended: ask for fewer minutes`
        : error instanceof Error
          ? error.message
          : String(error);
      this.#become({ kind: 'failed', request, message });
    }
  }

  #become(outcome: Outcome): void {
    this.#outcome = outcome;
    this.#sources.changed(this.state);
  }

  #read(asked: unknown): WhatIfRequest {
    const { policy, minutes } = (typeof asked === 'object' && asked !== null ? asked : {}) as Record<string, unknown>;
    const { policies } = this.#sources;
    if (typeof policy !== 'string' || !policies.includes(policy)) {
      throw new RequestError(400, 'invalid_value', `policy must be one of ${policies.join(', ')}`, 'policy');
    }
    const isRange = typeof minutes === 'number' && minutes >= minutesMin && minutes <= whatIfMinutesMax;
    if (!isRange) {
      const message = `minutes must be a number from ${minutesMin} to ${whatIfMinutesMax}`;
      throw new RequestError(400, 'invalid_value', message, 'minutes');
    }
    return { policy, minutes };
  }
}

export const recordingHowTo =
  'No recording is on. Start the gateway with --record FILE (or record: FILE in its configuration): it keeps lengths, ' +
  'times and block ids of all requests, and no text.';

/** The finding in one sentence. */
function verdictOf(baseline: WhatIfFigures, asked: WhatIfFigures): string {
  const [before, after] = [baseline.ttftMeanMs, asked.ttftMeanMs];
  if (baseline.policy === asked.policy) return `${asked.policy} is the policy in force: both runs are the same.`;
  if (before === null || after === null) return 'Too few requests finished in the lab to compare.';
  const change = (after - before) / before;
  const means = `mean time to first token ${time(after)} instead of ${time(before)}`;
  if (Math.abs(change) < 0.02) return `${asked.policy} would have made no difference: ${means}.`;
  const how = change < 0 ? 'faster' : 'slower';
  return `${asked.policy} would have been ${Math.round(100 * Math.abs(change))} % ${how} than ${baseline.policy}: ${means}.`;
}

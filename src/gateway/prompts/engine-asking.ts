// Asks an engine of a pool to tokenize: round-robin, with one retry on another engine.
//
// A question is not a request: it does not count as load and does not affect the engine's health. After a failure an
// engine gets no questions for a while, then one at a time until it answers.

import { TokenizerError } from '../../tokens/tokenizer.ts';
import type { Engine } from '../engines/engine.ts';
import type { EngineAnswer } from '../engines/engine-probe.ts';
import type { Parity } from '../engines/tokenizer-verdict.ts';

export type QuestionKind = 'text' | 'chat';

/** Average per engine. Bounds a burst here, so that it does not queue up at an engine. */
const questionsPerEngineMax = 32;
/** Pause after an engine's first failure; doubles with each further one. */
const restMsMin = 250;
const restMsMax = 10_000;
/** JSON of one token id, at most; and of everything around the ids. */
const idBytesMax = 16;
const answerOverheadBytes = 65_536;

/** The pause of an engine whose last answer failed. */
interface Rest {
  failures: number;
  untilMs: number;
  /** A trial question is in flight. */
  trying: boolean;
}

/** Whether an engine with this verdict can tell token ids. */
export function tellsIds(verdict: Parity): boolean {
  return verdict !== 'unavailable' && verdict !== 'unchecked';
}

export class EngineAsking {
  /** May list an engine several times. */
  readonly #engines: () => Iterable<Engine>;
  readonly #timeoutMs: number;
  readonly #rests = new WeakMap<Engine, Rest>();
  #turn = 0;

  /** @param timeoutMs for the whole question; the first engine gets half of it if there is a second */
  constructor(engines: () => Iterable<Engine>, timeoutMs: number) {
    this.#engines = engines;
    this.#timeoutMs = timeoutMs;
  }

  /** Whether any engine can be asked, now or after a pause. */
  canAsk(kind: QuestionKind, model: string): boolean {
    for (const engine of this.#engines()) if (isAskable(engine, kind, model)) return true;
    return false;
  }

  /** Limit on open questions, over all engines that take requests. */
  get questionsMax(): number {
    let engines = 0;
    for (const { takesRequests } of new Set(this.#engines())) if (takesRequests) engines++;
    return engines * questionsPerEngineMax;
  }

  /** @throws TokenizerError `engine-missing`, or what the last engine failed with */
  async ask(kind: QuestionKind, model: string, body: string, signal: AbortSignal): Promise<EngineAnswer> {
    const [first, second] = this.#choose(kind, model);
    if (first === undefined) {
      throw new TokenizerError('engine-missing', `no engine can tell the token ids of ${model} at the moment`);
    }
    try {
      const limitMs = second === undefined ? null : this.#timeoutMs / 2;
      const answer = await this.#askOne(first, body, signal, limitMs);
      if (second === undefined || !isFailure(answer)) return answer;
    } catch (error) {
      if (second === undefined || signal.aborted) throw error;
    }
    return this.#askOne(second, body, signal, null);
  }

  /** The engine whose turn it is, and the next one. */
  #choose(kind: QuestionKind, model: string): Engine[] {
    const nowMs = performance.now();
    const engines = [...new Set(this.#engines())].filter(
      (engine) => isAskable(engine, kind, model) && this.#mayBeTried(engine, nowMs),
    );
    const turn = this.#turn++;
    return engines.slice(0, 2).map((_, i) => engines[(turn + i) % engines.length]!);
  }

  #mayBeTried(engine: Engine, nowMs: number): boolean {
    const rest = this.#rests.get(engine);
    return rest === undefined || (!rest.trying && rest.untilMs <= nowMs);
  }

  async #askOne(engine: Engine, body: string, signal: AbortSignal, limitMs: number | null): Promise<EngineAnswer> {
    signal.throwIfAborted();
    const bytesMax = answerOverheadBytes + body.length * idBytesMax;
    const late = new AbortController();
    const abort = (): void => late.abort(signal.reason);
    signal.addEventListener('abort', abort);
    const rest = this.#rests.get(engine);
    if (rest !== undefined) rest.trying = true;
    const askedMs = performance.now();
    const timer =
      limitMs === null ? undefined : setTimeout(() => late.abort(new Error(`no answer within ${limitMs} ms`)), limitMs);
    try {
      const answer = await engine.probe.askTokens(body, late.signal, bytesMax);
      if (isFailure(answer)) this.#failed(engine);
      else this.#rests.delete(engine);
      return answer;
    } catch (error) {
      // A question that waited too long for its turn leaves the engine no time: not its fault.
      const hadTime = performance.now() - askedMs > this.#timeoutMs / 4;
      if (hadTime || !signal.aborted) this.#failed(engine);
      else if (rest !== undefined) rest.trying = false;
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }

  #failed(engine: Engine): void {
    const rest = this.#rests.get(engine) ?? { failures: 0, untilMs: 0, trying: false };
    const nowMs = performance.now();
    // Questions that fail together count as one failure.
    if (rest.untilMs <= nowMs) {
      rest.untilMs = nowMs + Math.min(restMsMin * 2 ** rest.failures, restMsMax);
      rest.failures++;
    }
    rest.trying = false;
    this.#rests.set(engine, rest);
  }
}

function isAskable(engine: Engine, kind: QuestionKind, model: string): boolean {
  return engine.takesRequests && tellsIds(engine.tokenizer[kind]) && engine.lists(model);
}

/** Whether an answer has the form of one from /tokenize; does not check the ids. */
export function listsTokens(answer: unknown): answer is { readonly tokens: readonly unknown[] } {
  return Array.isArray((answer as { tokens?: unknown } | null)?.tokens);
}

/** Whether another engine might do better. Not if the prompt itself is at fault. */
function isFailure({ status, body }: EngineAnswer): boolean {
  if (status === 200) return !listsTokens(body);
  return status !== 400 && status !== 413 && status !== 422;
}

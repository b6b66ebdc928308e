// Puts a question about token ids to an engine of a pool: any that can answer, in turn, and one other if that fails.
//
// A question is no request: it counts nowhere as load, and what comes of it says nothing of the engine's health. An
// engine that fails to answer is only left alone with questions for a while; then one at a time, until it answers.

import { type EngineAnswer, listsTokens, type QuestionPath } from '../../tokens/engine-questions.ts';
import { TokenizerError } from '../../tokens/tokenizer.ts';
import type { Engine } from '../engines/engine.ts';
import type { Parity } from '../engines/tokenizer-verdict.ts';

export type QuestionKind = 'text' | 'chat';

/** On average over the engines: so that a burst waits here, and not in front of one that would look slow. */
const questionsPerEngineMax = 32;
/** After the first failure of an engine; twice as long after each further one. */
const restMsMin = 250;
const restMsMax = 10_000;
/** JSON of one id at most, and what stands around them. */
const idBytesMax = 16;
const answerOverheadBytes = 65_536;

/** Of an engine whose last answer was none. */
interface Rest {
  failures: number;
  untilMs: number;
  /** A question is under way that will show whether it answers again. */
  trying: boolean;
}

/** What an engine tells by `verdict` can be asked of it. */
export function tellsIds(verdict: Parity): boolean {
  return verdict !== 'unavailable' && verdict !== 'unchecked';
}

export class EngineAsking {
  /** May list an engine several times. */
  readonly #engines: () => Iterable<Engine>;
  readonly #timeoutMs: number;
  readonly #rests = new WeakMap<Engine, Rest>();
  #turn = 0;

  /** @param timeoutMs of a whole question; where another engine could be asked, the first has half of it */
  constructor(engines: () => Iterable<Engine>, timeoutMs: number) {
    this.#engines = engines;
    this.#timeoutMs = timeoutMs;
  }

  /** Whether any engine could be asked, now or after a rest. */
  canAsk(kind: QuestionKind, model: string): boolean {
    for (const engine of this.#engines()) if (isAskable(engine, kind, model)) return true;
    return false;
  }

  /** Questions that may be open at a time, over all engines that take requests. */
  get questionsMax(): number {
    let engines = 0;
    for (const { takesRequests } of new Set(this.#engines())) if (takesRequests) engines++;
    return engines * questionsPerEngineMax;
  }

  /** @throws TokenizerError `engine-missing`, or whatever the last engine failed with */
  async ask(
    kind: QuestionKind,
    model: string,
    path: QuestionPath,
    body: string,
    signal: AbortSignal,
  ): Promise<EngineAnswer> {
    const [first, second] = this.#choose(kind, model);
    if (first === undefined) {
      throw new TokenizerError('engine-missing', `no engine tells the token ids of ${model} at the moment`);
    }
    try {
      const limitMs = second === undefined ? null : this.#timeoutMs / 2;
      const answer = await this.#askOne(first, path, body, signal, limitMs);
      if (second === undefined || !isFailure(answer)) return answer;
    } catch (error) {
      if (second === undefined || signal.aborted) throw error;
    }
    return this.#askOne(second, path, body, signal, null);
  }

  /** The engine whose turn it is, and the next. */
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

  async #askOne(
    engine: Engine,
    path: QuestionPath,
    body: string,
    signal: AbortSignal,
    limitMs: number | null,
  ): Promise<EngineAnswer> {
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
      const answer = await engine.probe.ask(path, body, late.signal, bytesMax);
      if (isFailure(answer)) this.#failed(engine);
      else this.#rests.delete(engine);
      return answer;
    } catch (error) {
      // A question that had waited long for its turn leaves an engine no time: then it is not at fault.
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
    // Several that were under way together are one failure.
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

/** Another engine may do better; where the prompt itself is at fault, none would. */
function isFailure({ status, body }: EngineAnswer): boolean {
  if (status === 200) return !listsTokens(body);
  return status !== 400 && status !== 413 && status !== 422;
}

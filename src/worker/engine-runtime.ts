// Runtime of one simulated engine: runs its steps in real time, sends tokens to answers and KV events to the publisher.

import {
  Engine,
  type EngineOptions,
  type EngineRequest,
  type EngineRequestSpec,
  type EngineStep,
} from '../sim/index.ts';
import type { Answer, Choice } from './answer.ts';
import { overloaded, unservable } from './api-error.ts';
import { EngineLoop } from './engine-loop.ts';
import type { KvPublisher } from './kv-publisher.ts';

export class EngineRuntime {
  readonly engine: Engine;
  readonly #unfinishedMax: number;
  readonly #loop: EngineLoop;
  readonly #publisher: KvPublisher | null;
  readonly #choices = new Map<EngineRequest, Choice>();
  #rejected = 0;

  /** @param publisher null: no KV events */
  constructor(options: EngineOptions, speedup: number, publisher: KvPublisher | null) {
    this.engine = new Engine(options);
    this.#unfinishedMax = options.unfinishedMax;
    this.#publisher = publisher;
    this.#loop = new EngineLoop(this.engine, speedup, (step) => this.#deliver(step));
  }

  /** Requests refused because `unfinishedMax` was reached. */
  get rejected(): number {
    return this.#rejected;
  }

  /** Total lateness of all steps so far, in real time. */
  get lateMs(): number {
    return this.#loop.lateMs;
  }

  /** Submits all sequences of one answer to the engine, or none. @throws ApiError 400 or 503 */
  submit(specs: readonly EngineRequestSpec[]): EngineRequest[] {
    const requests: EngineRequest[] = [];
    for (const spec of specs) {
      const submission = this.engine.submit(spec);
      if (submission.kind === 'accepted') {
        requests.push(submission.request);
        continue;
      }
      for (const request of requests) this.engine.abort(request);
      switch (submission.reason) {
        case 'overloaded':
          this.#rejected++;
          throw overloaded(this.#unfinishedMax);
        case 'empty-prompt':
          throw unservable('The prompt has no tokens.', 'prompt');
        case 'prompt-too-long':
          throw unservable(`The prompt fills the context length of ${this.engine.contextTokensMax} tokens.`, 'prompt');
      }
    }
    return requests;
  }

  /** Connects an answer to the tokens of its requests. */
  begin(answer: Answer): void {
    for (const choice of answer.choices) this.#choices.set(choice.request, choice);
    answer.begin();
    this.#loop.wake();
  }

  /** The client is gone: aborts the unfinished requests of the answer. */
  abort(answer: Answer): void {
    for (const { request } of answer.choices) {
      this.#choices.delete(request);
      this.engine.abort(request);
    }
  }

  stop(): void {
    this.#loop.stop();
    this.#publisher?.close();
  }

  /** Publishes events first, so that a subscriber knows a block before the client sees the token. */
  #deliver(step: EngineStep): void {
    if (step.events.length > 0) this.#publisher?.publish(Date.now() / 1000, step.events);
    const answers = new Set<Answer>();
    for (const request of step.sampled) {
      const choice = this.#choices.get(request);
      if (choice === undefined) continue;
      choice.answer.tokens(choice);
      answers.add(choice.answer);
    }
    for (const request of step.finished) this.#choices.delete(request);
    for (const answer of answers) answer.flush();
  }
}

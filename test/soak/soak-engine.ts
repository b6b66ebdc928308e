// One simulated engine of the soak: its publisher loses, doubles and delays batches; its twin sees them all.

import { expect } from 'vitest';
import { Random } from '../../src/core/random.ts';
import { constantStepTime } from '../../src/sim/index.ts';
import type { Tokenizer } from '../../src/tokens/tokenizer.ts';
import { type PublishFault, type SimWorkers, type StartOptions, startSimWorkers } from '../../src/worker/index.ts';
import { FeedEngineTwin } from '../model/feed-engine-twin.ts';

/** Batches in a hundred that are dropped. */
const dropped = 4;
const doubled = 4;
const delayed = 4;
const delayMsMax = 30;
/** Kept batches from which every loss can be repaired. */
export const longRingMin = 1000;

export class SoakEngine {
  readonly twin: FeedEngineTwin;
  /** Whether losses can be repaired at any later time. */
  readonly mends: boolean;
  faulty = true;
  restarts = 0;
  readonly #random: Random;
  #fleet!: SimWorkers;

  private constructor(options: StartOptions, seed: number) {
    this.twin = new FeedEngineTwin(options.blockSize!);
    this.mends = (options.kvReplay ?? true) && options.bufferSteps! >= longRingMin;
    this.#random = new Random(seed);
  }

  static async start(options: StartOptions, tokenizer: Tokenizer, seed: number): Promise<SoakEngine> {
    const engine = new SoakEngine(options, seed);
    engine.#fleet = await startSimWorkers({
      port: 0,
      model: 'soak',
      tokenizer,
      stepTime: constantStepTime(1),
      apiOverheadMs: 0,
      seed,
      publishFault: (_index, _seq, events) => {
        for (const event of events) engine.twin.apply(event);
        return engine.#fate();
      },
      ...options,
    });
    return engine;
  }

  get url(): string {
    return this.#fleet.workers[0]!.url;
  }

  async restart(downMs: number): Promise<void> {
    this.restarts += 1;
    await this.#fleet.kill(0);
    this.twin.clear();
    await new Promise((resolve) => setTimeout(resolve, downMs));
    await this.#fleet.start(0);
  }

  /** Retries until no request prevents it. */
  async resetPrefixCache(): Promise<void> {
    for (;;) {
      const response = await fetch(`${this.url}/reset_prefix_cache`, { method: 'POST' });
      if (((await response.json()) as { success: boolean }).success) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Asserts that the twin equals the engine's block pool. */
  assertTwinTrue(): void {
    const contents = new Map<string, number>();
    for (const [low, high] of this.#fleet.workers[0]!.runtime!.engine.cachedContents()) {
      contents.set(`${low},${high}`, (contents.get(`${low},${high}`) ?? 0) + 1);
    }
    expect(this.twin.copies()).toEqual(contents);
  }

  async close(): Promise<void> {
    await this.#fleet.close();
  }

  #fate(): PublishFault {
    if (!this.faulty) return 'none';
    const draw = this.#random.below(100);
    if (draw < dropped) return 'drop';
    if (draw < dropped + doubled) return 'twice';
    if (draw < dropped + doubled + delayed) return { delayMs: this.#random.below(delayMsMax) };
    return 'none';
  }
}

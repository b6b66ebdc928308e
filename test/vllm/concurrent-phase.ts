// Bursts, leaving clients, and an engine that is killed and restarted: no client without a token notices it.

import { type AskOptions, ask, type Reply } from './ask.ts';
import type { EngineUnderTest, Stage } from './engine-under-test.ts';
import type { GatewayProcess } from './gateway-process.ts';
import { Predictions } from './predictions.ts';
import type { Verdict } from './verdict-table.ts';
import type { Workload } from './workload.ts';

/** One client in this many leaves, some at once, others after some tokens. */
const leavesEvery = 6;
const backMsMax = 120_000;
const lanes = 4;

export class ConcurrentPhase {
  readonly #stage: Stage;
  readonly #gateway: GatewayProcess;
  readonly #workload: Workload;
  readonly #replies: Reply[] = [];
  #asked = 0;
  /** The killed engine and when it was back, as text; null: none was killed. */
  #return: string | null = null;

  constructor(stage: Stage, gateway: GatewayProcess, workload: Workload) {
    this.#stage = stage;
    this.#gateway = gateway;
    this.#workload = workload;
  }

  /** @param requestCount total, a multiple of 5 */
  async run(requestCount: number): Promise<Verdict[]> {
    const part = requestCount / 5;
    await this.#burst(part);
    const victim = await this.#burstWithKill(part);
    await this.#stream(part);
    if (victim !== null) await this.#bringBack(victim);
    await this.#burst(part);
    await this.#burst(part);
    return await this.#verdicts();
  }

  async #bringBack(victim: EngineUnderTest): Promise<void> {
    const startedMs = performance.now();
    await victim.restart();
    await this.#gateway.until(`${victim.name} takes requests again`, backMsMax, () => this.#isReady(victim));
    this.#return = `${victim.name}, back in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`;
  }

  /** Sends `count` requests at once. */
  async #burst(count: number, options: AskOptions = {}): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.#one(options)));
  }

  /** @returns the killed engine, which was the first to send a token; null: none was */
  async #burstWithKill(count: number): Promise<EngineUnderTest | null> {
    let victim: EngineUnderTest | null = null;
    let killed: Promise<void> | null = null;
    const urls = new Map((await this.#gateway.workers()).map(({ clientId, url }) => [clientId, url]));
    const onToken: AskOptions['onToken'] = (_tokens, worker) => {
      victim ??= this.#stage.engines.find(({ url }) => worker !== null && urls.get(worker) === url) ?? null;
      killed ??= victim?.kill() ?? null;
    };
    await this.#burst(count, { onToken });
    await killed;
    return victim;
  }

  /** Sends `count` requests, a few at a time. */
  async #stream(count: number): Promise<void> {
    let left = count;
    const lane = async (): Promise<void> => {
      while (left-- > 0) await this.#one({});
    };
    await Promise.all(Array.from({ length: lanes }, lane));
  }

  async #one(options: AskOptions): Promise<void> {
    this.#asked += 1;
    const id = `concurrent-${this.#asked}`;
    const leaves = this.#asked % leavesEvery === 0 ? { leaveAfterTokens: this.#asked % 4 } : {};
    const { question, ended } = this.#workload.next();
    const reply = await ask(this.#gateway.url, id, question, { ...options, ...leaves });
    ended(reply.ending === 'done' ? reply.text : null);
    this.#replies.push(reply);
  }

  async #isReady(engine: EngineUnderTest): Promise<boolean> {
    const workers = await this.#gateway.workers();
    return workers.some(({ url, state }) => url === engine.url && state === 'ready');
  }

  async #verdicts(): Promise<Verdict[]> {
    const { omitsZero, say } = this.#stage;
    const predictions = new Predictions();
    const ended = (ending: Reply['ending']): Reply[] => this.#replies.filter((reply) => reply.ending === ending);
    for (const { id, cachedTokens } of ended('done')) {
      const { overlapTokens } = await this.#gateway.decision(id);
      predictions.add(id, overlapTokens, cachedTokens ?? (omitsZero ? 0 : null));
    }
    const failed = ended('failed');
    const unbegun = failed.filter(({ tokens }) => tokens === 0);
    for (const { id, tokens, reason } of failed) say(`${id} failed after ${tokens} tokens: ${reason}`);
    for (const { id } of unbegun) say(`${id}: ${await this.#gateway.story(id)}`);
    const { exact, count, meanError } = predictions;
    const errors = `mean error ${meanError.toFixed(1)}, p99 ${predictions.errorQuantile(0.99)}`;
    return [
      {
        check: 'concurrent: engine killed while it sends tokens',
        seen: this.#return ?? 'none',
        required: 'back',
        holds: this.#return !== null,
      },
      {
        check: 'concurrent: answered; left by their clients; failed',
        seen: `${count}; ${ended('left').length}; ${failed.length} of ${this.#asked}`,
        required: 'fail only after a first token',
        holds: unbegun.length === 0,
      },
      {
        check: 'concurrent: predicted = actual cached tokens',
        seen: `${exact} of ${count}, ${errors}`,
        required: 'reported',
        holds: Number.isFinite(meanError),
      },
    ];
  }
}

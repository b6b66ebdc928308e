// Bench of a decision with other routers' columns: the same requests through a router that hears three others, and
// through one that hears none, decision by decision in turn.

import { sampledBlocks } from '../src/core/blocks/sampled-chain.ts';
import { BlockHasher, type Booking, createPolicy, type Prompt, Router } from '../src/core/index.ts';
import { RouterChains } from '../src/core/ledger/common-blocks.ts';
import { noLoad } from '../src/core/shared-load.ts';
import { blockSize, coreWorkload, queryTokens, workerCount } from './core-workload.ts';
import { announceOne } from './decision.ts';

const inFlight = 512;
const routersHeard = 4;
/** Requests of each other router in flight, and those of them whose prompts are being computed. */
const othersInFlight = 512;
const promisedEach = 64;
/** Until V8 has compiled what both do: with others' columns that takes longer, which is a price of the first minute only. */
const warmUpRounds = 8;

/** Time of the decisions of a round: with others' columns, over without. */
export interface OthersFigures {
  readonly ratios: readonly number[];
  /** Microseconds of a decision without others, in the middle round. */
  readonly aloneUs: number;
}

class Life {
  readonly router: Router;
  readonly #live: Booking[] = [];
  #ended = 0;
  #nowMs = 0;

  constructor(router: Router) {
    this.router = router;
  }

  /** @returns nanoseconds of the decision and its booking */
  turn(prompt: Prompt): number {
    const start = process.hrtime.bigint();
    const routed = this.router.route({ prompts: [prompt] }, ++this.#nowMs);
    const ns = Number(process.hrtime.bigint() - start);
    if (routed.kind === 'refused') throw new Error(routed.reason);
    this.#live.push(routed.bookings[0]!);
    if (this.#live.length - this.#ended > inFlight) {
      const oldest = this.#live[this.#ended]!;
      this.#ended += 1;
      this.router.firstToken(oldest, this.#nowMs);
      this.router.release(oldest, 'done', this.#nowMs);
    }
    return ns;
  }
}

/** @param queries decisions of a round */
export function measureOthers(queries: number, rounds: number): OthersFigures {
  const workload = coreWorkload();
  const hasher = new BlockHasher();
  const [alone, heard] = [0, 1].map(() => new Router({ policy: createPolicy('foresee'), seed: 1, hasher }));
  for (const router of [alone!, heard!]) {
    for (let worker = 0; worker < workerCount; worker++)
      router.addWorker({ id: `w${worker}`, blockSize, capacityBlocks: 20_000, source: 'events' });
    for (const { worker, event } of workload.load) router.applyKvEvent(worker, event, 0);
    for (let worker = 0; worker < workerCount; worker++) announceOne(router, worker);
  }
  const promptOf = (): Prompt => ({ isl: queryTokens, hashes: [hasher.hash(workload.query().tokens, blockSize)] });
  // Alike on all workers, so that both routers choose alike.
  heard!.shared.routersHeard = routersHeard;
  const busy = { activeTokens: 40_000, ownTokens: 2000, prefillTokens: 7000, runningRequests: 8 };
  for (let worker = 0; worker < workerCount; worker++) {
    for (let other = 1; other < routersHeard; other++) heard!.shared.change(worker, noLoad, { ...noLoad, ...busy }, 0);
  }
  for (let other = 1; other < routersHeard; other++) {
    const chains = new RouterChains();
    for (let i = 0; i < othersInFlight; i++) {
      const prompt = heard!.shared.begun(
        chains,
        i % workerCount,
        sampledBlocks(promptOf().hashes[0]!),
        blockSize,
        true,
      );
      if (i >= promisedEach) heard!.shared.computed(prompt!, 0);
    }
  }
  heard!.shared.expire(Number.POSITIVE_INFINITY);
  const prompts = Array.from({ length: queries }, promptOf);
  const lives = [new Life(alone!), new Life(heard!)];
  const results: { readonly ratio: number; readonly aloneUs: number }[] = [];
  for (let round = -warmUpRounds; round < rounds; round++) {
    const times = lives.map(() => new Float64Array(queries));
    for (let q = 0; q < queries; q++) {
      // Each goes first every second time.
      for (const i of q % 2 === 0 ? [0, 1] : [1, 0]) times[i]![q] = lives[i]!.turn(prompts[q]!);
    }
    // Without the slowest, in which other programs ran.
    const [without, withOthers] = times.map((ns) =>
      ns
        .sort()
        .subarray(0, Math.ceil(0.95 * queries))
        .reduce(sum),
    );
    if (round >= 0) results.push({ ratio: withOthers! / without!, aloneUs: without! / (0.95 * queries) / 1000 });
  }
  results.sort((a, b) => a.ratio - b.ratio);
  return { ratios: results.map(({ ratio }) => ratio), aloneUs: results[results.length >> 1]!.aloneUs };
}

function sum(a: number, b: number): number {
  return a + b;
}

export function printOthers({ ratios, aloneUs }: OthersFigures): void {
  const [least, middle, most] = [ratios[0]!, ratios[ratios.length >> 1]!, ratios.at(-1)!];
  console.log(
    `\ndecision and booking, foresee, ${workerCount} workers, no other router: ${aloneUs.toFixed(1)} microseconds`,
  );
  console.log(
    `with the columns of ${routersHeard - 1} others and ${(routersHeard - 1) * othersInFlight} of their prompts: ${middle.toFixed(3)} x (${least.toFixed(3)} to ${most.toFixed(3)} in ${ratios.length} rounds)`,
  );
}

// Plan for requests that arrive together: a worker for each, and the order in which to book and send them.
//
// The plan works on the candidates' columns plus the load it has planned so far (planned-load.ts). It books nothing and
// tells the policy nothing, so a request that is moved leaves no trace. Three steps:
// 1. The policy places the requests one after the other, those with the fewest uncached tokens first. Each placement
//    counts as load for the next one. While other routers are heard, prompts with new prefixes go where these are dealt
//    instead (dealt-prefixes.ts), since the others plan parts of the same burst at the same time.
// 2. Rounds of improvement: each request moves to the worker where it adds least to the total waiting time, if that is
//    strictly less than at its present worker. While other routers are heard, it moves only among the workers that its
//    prefix is dealt to, or to where it need not compute much more: this plan has only a part of the burst, every router
//    would make such moves, and the prefix would be computed once for each of them.
// 3. Each worker gets its requests in the order with the lowest mean time (work-order.ts).
//
// Total waiting time of a worker with backlog B, n planned requests and planned prefill W: n x B + W x (n + 1) / 2,
// which is exact for equal requests in a queue. So a request with the prefill u adds
//   B + W / 2 + u x (n + 2) / 2
// and every move lowers the sum over all workers, so the rounds end. B, W and u are in ms if the policy uses the speed
// model, otherwise in tokens.

import { assert } from '../assert.ts';
import { PlannedLoad, type PlannedPrompt } from '../ledger/planned-load.ts';
import type { SpeedModel } from '../ledger/speed-model.ts';
import type { WorkerTable } from '../ledger/worker-table.ts';
import { Random } from '../random.ts';
import type { RouteRequest, WorkerIndex } from '../types.ts';
import type { Agreement } from './agreement.ts';
import type { Candidates } from './candidates.ts';
import { DealtPrefixes, type MostHeld, mostHeld, type NewPrefix } from './dealt-prefixes.ts';
import { KnownOverlaps } from './known-overlaps.ts';
import { hashesOf, type Placements } from './placements.ts';
import { type Choice, type Policy, policyRequestOf } from './policy.ts';
import { type Job, orderOfWork } from './work-order.ts';

/** Requests planned together. Further ones are routed one by one after them. */
const plannedTogetherMax = 1024;
const roundsMax = 3;
/** Further tokens to compute that a move may cost while other routers are heard. */
const movedTokensMax = 256;
/** Candidates compared in all rounds of one plan. Bounds the time: beyond it, the plan is kept as it is. */
const improvedCandidatesMax = 32_768;

/** One request of a plan, in the order of booking. */
export interface Planned {
  /** Position in the list of requests. */
  readonly index: number;
  /** Null: the request is routed alone. */
  readonly worker: WorkerIndex | null;
}

class Plannable {
  readonly index: number;
  readonly request: RouteRequest;
  readonly leastTokens: number;
  readonly known: KnownOverlaps;
  /** Whether the request may be moved: it has neither affinity nor SLO, which the waiting time does not include. */
  readonly movable: boolean;
  /** Set while other routers are heard, if its prefix may be dealt. */
  held: MostHeld | null = null;
  prompt: PlannedPrompt | null = null;
  /** Set if it is dealt. */
  prefix: NewPrefix | null = null;

  constructor(index: number, request: RouteRequest, leastTokens: number, known: KnownOverlaps) {
    this.index = index;
    this.request = request;
    this.leastTokens = leastTokens;
    this.known = known;
    this.movable = request.affinity === undefined && request.slo === undefined;
  }

  get worker(): WorkerIndex {
    return this.prompt!.worker;
  }
}

export interface BurstPlanOptions {
  readonly policy: Policy;
  readonly state: unknown;
  readonly seed: number;
  readonly speed: SpeedModel;
  readonly agreement: Agreement;
  /** Default: as the policy says. */
  readonly joint?: boolean;
}

export class BurstPlan {
  readonly enabled: boolean;
  readonly #placements: Placements;
  readonly #workers: WorkerTable;
  readonly #policy: Policy;
  readonly #state: unknown;
  readonly #speed: SpeedModel;
  /** Separate from the router's, so that planning has no effect on later choices. */
  readonly #random: Random;
  readonly #load = new PlannedLoad();
  readonly #agreement: Agreement;
  readonly #dealt: DealtPrefixes;
  #nowMs = 0;
  #othersAreHeard = false;

  constructor(placements: Placements, workers: WorkerTable, options: BurstPlanOptions) {
    const { policy, state, seed, speed, joint, agreement } = options;
    this.enabled = policy.bursts !== undefined && (joint ?? policy.bursts === 'planned');
    this.#placements = placements;
    this.#workers = workers;
    this.#policy = policy;
    this.#state = state;
    this.#speed = speed;
    this.#random = new Random(seed);
    this.#agreement = agreement;
    this.#dealt = new DealtPrefixes(workers);
  }

  /** Books nothing and tells the policy nothing. O(requests x (blocks + workers)) */
  plan(requests: readonly RouteRequest[], nowMs: number): Planned[] {
    if (!this.enabled) return requests.map((_, index) => ({ index, worker: null }));
    this.#nowMs = nowMs;
    this.#load.reserve(this.#workers.count);
    this.#othersAreHeard = this.#workers.routersHeard > 1;
    const alone: Planned[] = [];
    const plannable: Plannable[] = [];
    for (const [index, request] of requests.entries()) {
      const planned = plannable.length < plannedTogetherMax && isPlannable(request);
      const known = new KnownOverlaps(this.#workers.count);
      const leastTokens = planned ? this.#leastTokens(request, known) : null;
      if (leastTokens === null) {
        alone.push({ index, worker: null });
        continue;
      }
      const one = new Plannable(index, request, leastTokens, known);
      plannable.push(one);
      if (this.#othersAreHeard && this.#isDealt(one)) one.held = mostHeld(this.#placements.candidates);
    }
    plannable.sort((a, b) => a.leastTokens - b.leastTokens || a.index - b.index);
    if (this.#othersAreHeard) this.#deal(plannable);
    try {
      for (const one of plannable) {
        this.#placements.fill(one.request, this.#nowMs, this.#load, one.known);
        const { candidates } = this.#placements;
        const asked = policyRequestOf(one.request, nowMs);
        const choice = this.#policy.choose(asked, candidates, this.#random, this.#state);
        this.#put(one, this.#asDealt(one, choice));
      }
      this.#improve(plannable);
    } finally {
      for (const { prompt } of plannable) if (prompt) this.#load.remove(prompt);
      this.#load.clearLoads();
      this.#dealt.clear();
    }
    return [...this.#inOrder(plannable), ...alone];
  }

  /** A prefix may be dealt to any worker, also to one that a request excludes. */
  #isDealt({ movable, request }: Plannable): boolean {
    return this.#agreement.isOn && movable && (request.excluded?.size ?? 0) === 0;
  }

  #deal(plannable: readonly Plannable[]): void {
    let any: Plannable | null = null;
    for (const one of plannable) {
      if (one.held === null) continue;
      one.prefix = this.#dealt.add(one.request.prompts[0]!, one.held);
      any = one;
    }
    if (any === null) return;
    this.#placements.fill(any.request, this.#nowMs, null, any.known);
    this.#dealt.deal(this.#placements.candidates);
  }

  /** The row of a worker that the prefix is dealt to; as chosen if the choice is not by cost, or no such has room. */
  #asDealt({ prefix }: Plannable, { position, reason }: Choice): number {
    const { worker } = this.#placements.candidates;
    if (!prefix?.holders.includes(worker[position]!) || (reason !== 'cost' && reason !== 'tie')) return position;
    return this.#cheapestDealt(prefix, position);
  }

  /** The row where the request adds least, of the workers that the prefix is dealt to; `from` if they have no room. */
  #cheapestDealt({ workers }: NewPrefix, from: number): number {
    const { count, worker, kvUsage } = this.#placements.candidates;
    let best = from;
    let least = workers.includes(worker[from]!) ? this.#added(from) : Number.POSITIVE_INFINITY;
    for (const index of workers) {
      const row = rowOf(worker, count, index);
      const added = this.#added(row);
      if (added >= least || kvUsage[row]! > 1) continue;
      best = row;
      least = added;
    }
    return best;
  }

  /** Fewest tokens that any candidate would have to compute; null if there is no candidate. */
  #leastTokens(request: RouteRequest, known: KnownOverlaps): number | null {
    this.#placements.fill(request, this.#nowMs, null, known);
    const { count, uncachedTokens } = this.#placements.candidates;
    if (count === 0) return null;
    let least = uncachedTokens[0]!;
    for (let i = 1; i < count; i++) least = Math.min(least, uncachedTokens[i]!);
    return least;
  }

  /** Adds the request to the plan. The candidates must be filled for it. */
  #put(one: Plannable, row: number): void {
    const { candidates } = this.#placements;
    const hashes = hashesOf(one.request.prompts[0]!, candidates.blockSize[row]!);
    one.prompt = this.#load.insert(hashes, candidates.worker[row]! | 0);
    this.#load.addLoad(1, candidates, row);
  }

  /** Takes the request out of the plan and fills the candidates for it. @returns the row of the worker it had */
  #lift(one: Plannable): number {
    const { worker: from } = one;
    this.#load.remove(one.prompt!);
    one.prompt = null;
    this.#placements.fill(one.request, this.#nowMs, this.#load, one.known);
    const { candidates } = this.#placements;
    const row = rowOf(candidates.worker, candidates.count, from);
    this.#load.addLoad(-1, candidates, row);
    return row;
  }

  #improve(plannable: readonly Plannable[]): void {
    let looked = 0;
    for (let round = 0, moved = true; round < roundsMax && moved; round++) {
      moved = false;
      for (const one of plannable) {
        if (!one.movable) continue;
        if (looked > improvedCandidatesMax) return;
        const from = this.#lift(one);
        looked += this.#placements.candidates.count;
        const to = one.prefix === null ? this.#cheapest(from) : this.#cheapestDealt(one.prefix, from);
        if (to !== from) moved = true;
        this.#put(one, to);
      }
    }
  }

  /** The row where the request adds least; `from` unless another is strictly better and has room. */
  #cheapest(from: number): number {
    const { count, kvUsage, uncachedTokens } = this.#placements.candidates;
    const tokensMax = this.#othersAreHeard ? uncachedTokens[from]! + movedTokensMax : Number.POSITIVE_INFINITY;
    let best = from;
    let least = this.#added(from);
    for (let i = 0; i < count; i++) {
      const added = this.#added(i);
      if (added >= least || kvUsage[i]! > 1 || uncachedTokens[i]! > tokensMax) continue;
      best = i;
      least = added;
    }
    return best;
  }

  /** Total waiting time that the request would add, from candidates filled before it was lifted. */
  #added(i: number): number {
    const { worker, uncachedTokens, prefillMs } = this.#placements.candidates;
    const index = worker[i]!;
    const { requests, prefillTokens, prefillMs: plannedMs } = this.#load;
    const timed = this.#policy.usesSpeed === true;
    const { activePrefillTokens, othersPrefillTokens } = this.#workers;
    const backlog = timed ? this.#speed.backlogMs[index]! : activePrefillTokens[index]! + othersPrefillTokens[index]!;
    const planned = timed ? plannedMs[index]! : prefillTokens[index]!;
    const own = timed ? prefillMs[i]! : uncachedTokens[i]!;
    return backlog + planned / 2 + (own * (requests[index]! + 2)) / 2;
  }

  /** By rank within the worker, so that every worker gets its first request early. */
  #inOrder(plannable: readonly Plannable[]): Planned[] {
    const ofWorker = new Map<WorkerIndex, Plannable[]>();
    for (const one of plannable) {
      const list = ofWorker.get(one.worker);
      if (list) list.push(one);
      else ofWorker.set(one.worker, [one]);
    }
    const ranked: { readonly rank: number; readonly planned: Planned }[] = [];
    for (const [worker, list] of ofWorker) {
      list.sort((a, b) => a.index - b.index);
      const jobs: Job[] = [];
      for (const one of list) jobs.push(this.#jobOf(one, worker));
      for (const [rank, position] of orderOfWork(jobs).entries()) {
        ranked.push({ rank, planned: { index: list[position]!.index, worker } });
      }
    }
    ranked.sort((a, b) => a.rank - b.rank || a.planned.worker! - b.planned.worker!);
    const inOrder: Planned[] = [];
    for (const { planned } of ranked) inOrder.push(planned);
    return inOrder;
  }

  #jobOf({ request, known }: Plannable, index: WorkerIndex): Job {
    const prompt = request.prompts[0]!;
    this.#placements.fill(request, this.#nowMs, null, known);
    const { count, worker, blockSize, uncachedTokens } = this.#placements.candidates;
    const position = rowOf(worker, count, index);
    const { isl } = prompt;
    return { hashes: hashesOf(prompt, blockSize[position]!), isl, cachedTokens: isl - uncachedTokens[position]! };
  }
}

/** Requests with several prompts or their own weights are routed one by one. */
function isPlannable({ prompts, overlapWeight, temperature }: RouteRequest): boolean {
  return prompts.length === 1 && overlapWeight === undefined && temperature === undefined;
}

/** The candidates of a request do not change during a plan. */
function rowOf(workers: Float64Array, count: number, worker: WorkerIndex): number {
  const row = workers.indexOf(worker);
  assert(row >= 0 && row < count, 'a planned worker is a candidate');
  return row;
}

/** The planned worker's row; the policy's own choice if it agrees, or if no candidate was planned. */
export function asPlanned(choice: Choice, { count, worker }: Candidates, planned: WorkerIndex | null): Choice {
  if (planned === null) return choice;
  const position = worker.indexOf(planned);
  if (position < 0 || position >= count || position === choice.position) return choice;
  return { position, reason: 'joint' };
}

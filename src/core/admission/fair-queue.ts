// Fair queue: the order of waiting requests over tenants, by priority and then deficit round robin in tokens.
//
// Deficit round robin (Shreedhar and Varghese, 1995): in each round, every tenant that has requests waiting is granted a
// quantum of tokens times its weight, and its requests go while its grants cover them. Tenants take their turns in the
// order in which they began to wait, and a newcomer takes its first one at the end of the current round. Who has nothing
// waiting any more keeps no grants.
//
// No turn is kept: the round in which a request can go follows from what its tenant has spent since it began to wait.
// So a request that turns out to be blocked is set aside and put back as if nothing had been asked, and is the first to
// be tried again.

import { AdmissionLane, type LanePlace } from './admission-lane.ts';
import type { ShutLanes } from './shut-lanes.ts';

/** Tokens granted per round to a tenant of weight 1. Small, so that a newcomer waits for few tokens of others. */
export const quantumTokens = 256;

type Shut = Pick<ShutLanes, 'isShut'>;

/** The waiting requests of one tenant with one priority. */
class Flow<T> {
  readonly tenant: string;
  readonly priority: number;
  readonly weight: number;
  /** Granted per round. */
  readonly grantTokens: number;
  /** The round before its first grant. */
  readonly baseRound: number;
  readonly lanes = new Map<string, AdmissionLane<T>>();
  /** Tokens of its requests that went. */
  spentTokens = 0;
  /** Requests set aside, and their tokens. */
  aside = 0;
  asideTokens = 0;

  constructor({ tenant, priority, weight }: LanePlace<T>, baseRound: number) {
    this.tenant = tenant;
    this.priority = priority;
    this.weight = weight;
    this.grantTokens = quantumTokens * weight;
    this.baseRound = baseRound;
  }

  /** The round in which its grants cover so many tokens in all. */
  roundOf(tokens: number): number {
    return this.baseRound + Math.ceil(tokens / this.grantTokens);
  }

  /** The first request of all lanes that are not shut. O(lanes) */
  first(shut: Shut): LanePlace<T> | undefined {
    let first: LanePlace<T> | undefined;
    for (const [name, lane] of this.lanes) {
      if (shut.isShut(name, this.tenant, this.priority)) continue;
      const place = lane.first!;
      if (first === undefined || place.isBefore(first)) first = place;
    }
    return first;
  }

  /** O(requests) */
  last(): LanePlace<T> | undefined {
    let last: LanePlace<T> | undefined;
    for (const lane of this.lanes.values()) {
      const place = lane.last!;
      if (last === undefined || last.isBefore(place)) last = place;
    }
    return last;
  }

  push(place: LanePlace<T>): void {
    let lane = this.lanes.get(place.lane);
    if (lane === undefined) {
      lane = new AdmissionLane();
      this.lanes.set(place.lane, lane);
    }
    lane.push(place);
  }

  remove(place: LanePlace<T>): void {
    const lane = this.lanes.get(place.lane)!;
    lane.remove(place);
    if (lane.size === 0) this.lanes.delete(place.lane);
  }

  /** Requests in its lanes. */
  count(): number {
    let count = 0;
    for (const lane of this.lanes.values()) count += lane.size;
    return count;
  }
}

/** The tenants that wait with one priority. */
interface Level<T> {
  readonly priority: number;
  /** The round of the latest request that went. */
  round: number;
  /** In the order in which they began to wait. */
  readonly flows: Map<string, Flow<T>>;
}

export class FairQueue<T> {
  /** By ascending priority value. */
  readonly #levels: Level<T>[] = [];

  /** O(log requests + levels) */
  add(place: LanePlace<T>): void {
    this.#flowOf(place).push(place);
  }

  /** The request that is next, leaving out the lanes that are shut. O(levels + tenants x lanes) */
  first(shut: Shut): LanePlace<T> | undefined {
    for (const { flows } of this.#levels) {
      let first: LanePlace<T> | undefined;
      let firstRound = 0;
      for (const flow of flows.values()) {
        const place = flow.first(shut);
        if (place === undefined) continue;
        const round = flow.roundOf(flow.spentTokens + flow.asideTokens + place.tokens);
        if (first !== undefined && firstRound <= round) continue;
        first = place;
        firstRound = round;
      }
      if (first !== undefined) return first;
    }
    return undefined;
  }

  /** Removes a request that goes, and charges its tenant. @param tokens what it takes, now that its worker is known */
  serve(place: LanePlace<T>, tokens: number): void {
    const { level, flow } = this.#find(place);
    flow.spentTokens += tokens;
    level.round = Math.max(level.round, flow.roundOf(flow.spentTokens));
    this.remove(place);
  }

  /** Removes a request without a charge. */
  remove(place: LanePlace<T>): void {
    const { level, flow } = this.#find(place);
    flow.remove(place);
    if (flow.lanes.size > 0 || flow.aside > 0) return;
    level.flows.delete(flow.tenant);
    if (level.flows.size === 0) this.#levels.splice(this.#levels.indexOf(level), 1);
  }

  /** Takes a blocked request out until `putBack`; others are next meanwhile as if it had gone. */
  setAside(place: LanePlace<T>): void {
    const { flow } = this.#find(place);
    flow.remove(place);
    flow.aside += 1;
    flow.asideTokens += place.tokens;
  }

  putBack(place: LanePlace<T>): void {
    const { flow } = this.#find(place);
    flow.aside -= 1;
    flow.asideTokens -= place.tokens;
    flow.push(place);
  }

  /** Gives a waiting request another due time. */
  postpone(place: LanePlace<T>, dueMs: number): void {
    const { flow } = this.#find(place);
    flow.remove(place);
    place.dueMs = dueMs;
    flow.push(place);
  }

  /**
   * The request to turn away from a full queue instead of a newcomer: the last one of the tenant with the most requests
   * for its weight, if the newcomer's tenant has fewer even with the newcomer.
   * @returns null: it is the newcomer, also where its priority is lower than that request's. O(requests)
   */
  excess(newcomer: Pick<LanePlace<T>, 'tenant' | 'weight' | 'priority'>): LanePlace<T> | null {
    const uses = this.#uses();
    const { waiting: own, weight } = uses.get(newcomer.tenant) ?? { waiting: 0, weight: newcomer.weight };
    let most = 0;
    for (const use of uses.values()) most = Math.max(most, use.waiting / use.weight);
    if ((own + 1) / weight >= most) return null;
    for (let at = this.#levels.length - 1; at >= 0; at--) {
      const { priority, flows } = this.#levels[at]!;
      let excess: LanePlace<T> | null = null;
      for (const flow of flows.values()) {
        const use = uses.get(flow.tenant)!;
        if (use.waiting / use.weight < most) continue;
        const last = flow.last()!;
        if (excess === null || excess.isBefore(last)) excess = last;
      }
      if (excess !== null) return priority < newcomer.priority ? null : excess;
    }
    return null;
  }

  /** Waiting requests by tenant. */
  counts(): Map<string, number> {
    return new Map(Array.from(this.#uses(), ([tenant, { waiting }]) => [tenant, waiting]));
  }

  #uses(): Map<string, { waiting: number; readonly weight: number }> {
    const uses = new Map<string, { waiting: number; readonly weight: number }>();
    for (const { flows } of this.#levels) {
      for (const flow of flows.values()) {
        const use = uses.get(flow.tenant);
        if (use === undefined) uses.set(flow.tenant, { waiting: flow.count(), weight: flow.weight });
        else use.waiting += flow.count();
      }
    }
    return uses;
  }

  #find({ priority, tenant }: LanePlace<T>): { readonly level: Level<T>; readonly flow: Flow<T> } {
    const level = this.#levels[this.#indexOf(priority)]!;
    return { level, flow: level.flows.get(tenant)! };
  }

  #flowOf(place: LanePlace<T>): Flow<T> {
    const { priority, tenant } = place;
    const at = this.#indexOf(priority);
    let level = this.#levels[at];
    if (level?.priority !== priority) {
      level = { priority, round: 1, flows: new Map() };
      this.#levels.splice(at, 0, level);
    }
    let flow = level.flows.get(tenant);
    if (flow === undefined) {
      flow = new Flow(place, level.round - 1);
      level.flows.set(tenant, flow);
    }
    return flow;
  }

  /** Of the level, or where it would stand. O(log levels) */
  #indexOf(priority: number): number {
    let low = 0;
    let high = this.#levels.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#levels[middle]!.priority < priority) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

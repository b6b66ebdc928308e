// Shut lanes: lanes from which a drain takes no further requests, for all tenants or for bursts only.
//
// A burst may be held by the workers that it must leave free (tenant-reserve.ts), which do not hold other tenants.

import type { Held } from '../types.ts';
import type { LanePlace } from './admission-lane.ts';

export class ShutLanes {
  readonly #passedMax: number;
  readonly #isBurst: (tenant: string, priority: number) => boolean;
  readonly #toAll = new Set<string>();
  /** By lane, the priority of the burst that shut it. */
  readonly #toBursts = new Map<string, number>();
  /** Blocked requests by lane: of all tenants, of bursts. */
  readonly #passed = new Map<string, number>();
  readonly #passedBursts = new Map<string, number>();

  /**
   * @param passedMax blocked requests of one lane that later ones may overtake
   * @param isBurst whether requests of the tenant and priority must leave workers free
   */
  constructor(passedMax: number, isBurst: (tenant: string, priority: number) => boolean) {
    this.#passedMax = passedMax;
    this.#isBurst = isBurst;
  }

  /** A request of the lane is blocked. Call it in order of priority. */
  passed({ lane, priority }: LanePlace<unknown>, { othersMayGo, keptWorkers }: Held): void {
    const isBurst = keptWorkers > 0;
    const passed = isBurst ? this.#passedBursts : this.#passed;
    const count = (passed.get(lane) ?? 0) + 1;
    passed.set(lane, count);
    if (othersMayGo && count <= this.#passedMax) return;
    if (!isBurst) this.#toAll.add(lane);
    else if (!this.#toBursts.has(lane)) this.#toBursts.set(lane, priority);
  }

  /** A lane shut to bursts is also shut to all requests of lower priority. */
  isShut(lane: string, tenant: string, priority: number): boolean {
    if (this.#toAll.has(lane)) return true;
    const shutAt = this.#toBursts.get(lane);
    return shutAt !== undefined && (priority > shutAt || this.#isBurst(tenant, priority));
  }
}

// One router of a run, with its queue and the requests that have just arrived at it.

import { Admission, type Applicant } from '../core/admission/admission.ts';
import type { Routed } from '../core/choice/decision.ts';
import { Router } from '../core/router.ts';
import type { BlockHashes, Refused, WorkerIndex } from '../core/types.ts';
import { type PolicySpec, policyOf, type ToldSpeeds } from './policy-spec.ts';

/** A request of the workload, as the admission queue sees it. */
export interface Routable extends Applicant {
  readonly index: number;
  readonly hashes: BlockHashes;
}

export interface RouterWorker {
  readonly blockSize: number;
  readonly capacityBlocks: number;
}

/** A request with the outcome of routing it; null: it waits in the queue. */
export interface Placing {
  readonly routable: Routable;
  readonly outcome: Routed | Refused | 'full';
}

export class LabRouter {
  readonly router: Router;
  /** Set when the queue has to be drained. */
  roomChanged = false;
  /** Null: no admission queue. */
  readonly #admission: Admission<Routable> | null;
  #arrived: Routable[] = [];

  constructor(
    policy: PolicySpec,
    seed: number,
    told: ToldSpeeds,
    booksLate: boolean,
    workers: readonly RouterWorker[],
  ) {
    this.router = new Router({
      policy: policyOf(policy, told),
      seed,
      inFlightCredit: policy.inFlightCredit,
      bookAt: booksLate ? 'told' : 'choice',
      ...(policy.joint !== null && { joint: policy.joint }),
      ...(policy.lateBinding !== null && { lateBinding: policy.lateBinding }),
      onRoomChange: () => {
        this.roomChanged = true;
      },
    });
    const tenantReserveMs = policy.tenantReserveS * 1000;
    const queuedMax = policy.queuedMax ?? (policy.lateBinding === null ? null : Number.MAX_SAFE_INTEGER);
    this.#admission =
      queuedMax === null ? null : new Admission(this.router, { waitingMax: queuedMax, tenantReserveMs });
    const source = policy.kvEvents ? 'events' : 'approximate';
    for (const [index, worker] of workers.entries()) this.router.addWorker({ id: `${index}`, source, ...worker });
  }

  arrived(routable: Routable): void {
    this.#arrived.push(routable);
  }

  /** Routes what has arrived, planned together if the router plans bursts. */
  routeArrived(nowMs: number, settle: (placing: Placing) => void): void {
    if (this.#arrived.length === 0) return;
    const arrived = this.#arrived;
    this.#arrived = [];
    const plan =
      arrived.length === 1
        ? alone
        : this.router.plan(
            arrived.map(({ request }) => request()),
            nowMs,
          );
    for (const { index, worker } of plan) this.#route(arrived[index]!, worker, nowMs, settle);
  }

  /** Places the waiting requests for which there is room now. */
  drain(nowMs: number, settle: (placing: Placing) => void): void {
    this.roomChanged = false;
    for (const { applicant: routable, outcome } of this.#admission?.drain(nowMs) ?? []) {
      if (outcome.kind === 'failed') throw outcome.error;
      settle({ routable, outcome });
    }
  }

  #route(routable: Routable, planned: WorkerIndex | null, nowMs: number, settle: (placing: Placing) => void): void {
    if (this.#admission === null) {
      settle({ routable, outcome: this.router.route(routable.request(), nowMs, planned) });
      return;
    }
    const entry = this.#admission.enter(routable, nowMs, planned);
    if (entry.kind !== 'waiting') {
      settle({ routable, outcome: entry.kind === 'full' ? 'full' : entry });
      return;
    }
    this.roomChanged = true;
    if (entry.displaced !== null) settle({ routable: entry.displaced.applicant, outcome: 'full' });
  }
}

const alone: ReturnType<Router['plan']> = [{ index: 0, worker: null }];

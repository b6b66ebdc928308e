// Messages between the routers of a run, in virtual time: late, lost, doubled, out of order, or cut off.

import { MessagePace, Replica, type ReplicaView } from '../cluster/index.ts';
import { assert } from '../core/assert.ts';
import { Random } from '../core/random.ts';
import type { Router } from '../core/router.ts';
import type { RoutersSpec } from './routers-spec.ts';

/** A message on its way, a router whose time has come to send its gauge, or to tell what has changed since its last message. */
export type NetworkEvent =
  | { readonly kind: 'router-message'; readonly to: number; readonly bytes: Uint8Array }
  | { readonly kind: 'router-tick' | 'router-flush'; readonly router: number };

/** Of all routers together. Bytes are those that one router sends, not times the routers that receive them. */
export interface SharingFigures {
  readonly messages: number;
  readonly bytes: number;
  readonly gaps: number;
  readonly healed: number;
  readonly resets: number;
  readonly lost: number;
  readonly unpromised: number;
  /** Tokens by which the routers' views differ from what is booked, a second after the last request: 0. */
  readonly loadErrorTokens: number;
}

/** First and last arrival of the workload. */
export interface ArrivalSpan {
  readonly fromNs: number;
  readonly untilNs: number;
}

const tickNs = 50e6;
/** Ticks after the last request, so that views can settle. */
const idleTicksMax = 20;

export class RouterNetwork {
  readonly #spec: RoutersSpec;
  readonly #routers: readonly Router[];
  readonly #replicas: Replica[];
  readonly #random: Random;
  readonly #post: (timeNs: number, event: NetworkEvent) => void;
  readonly #span: ArrivalSpan;
  readonly #due: boolean[] = [];
  readonly #paces: MessagePace[] = [];
  /** Routers that wait until they may tell what has changed. */
  readonly #isWaiting: boolean[] = [];
  readonly #epochs: number[] = [];
  readonly #idleTicks: number[] = [];
  /** Figures of replicas that have restarted. */
  readonly #past: ReplicaView[] = [];
  /** Events of this network in the queue. */
  #pending = 0;

  constructor(
    spec: RoutersSpec,
    routers: readonly Router[],
    seed: number,
    span: ArrivalSpan,
    post: (timeNs: number, event: NetworkEvent) => void,
  ) {
    this.#spec = spec;
    this.#routers = routers;
    this.#random = new Random(seed ^ 0x6b76);
    this.#span = span;
    this.#post = post;
    this.#replicas = routers.map((_, at) => this.#start(at));
    // They know each other when the first request arrives.
    for (const [from, replica] of this.#replicas.entries()) {
      for (const bytes of replica.tick(span.fromNs / 1e6)) {
        for (const [to, other] of this.#replicas.entries()) if (to !== from) other.receive(bytes, span.fromNs / 1e6);
      }
    }
    for (const at of routers.keys()) {
      this.#idleTicks[at] = 0;
      this.#schedule(span.fromNs + Math.round((at * tickNs) / routers.length), { kind: 'router-tick', router: at });
    }
  }

  /** Events of the network that are still to come. */
  get pending(): number {
    return this.#pending;
  }

  /** @param others events of the run besides those of the network */
  apply(event: NetworkEvent, nowNs: number, others: number): void {
    this.#pending--;
    if (event.kind === 'router-message') {
      this.#replicas[event.to]!.receive(event.bytes, nowNs / 1e6);
      return;
    }
    const { router } = event;
    if (event.kind === 'router-flush') {
      this.#isWaiting[router] = false;
      // What was urgent has been told already.
      if (this.#due[router]) this.#tell(router, nowNs);
      return;
    }
    this.#restart(router, nowNs);
    const messages = this.#replicas[router]!.tick(nowNs / 1e6);
    if (messages.length > 0) {
      this.#due[router] = false;
      this.#paces[router]!.sent(nowNs / 1e6);
      this.#send(router, messages, nowNs);
    }
    this.#idleTicks[router] = others > 0 ? 0 : this.#idleTicks[router]! + 1;
    if (this.#idleTicks[router]! < idleTicksMax) this.#schedule(nowNs + tickNs, event);
  }

  /** The end of a turn of every router's loop: sends what was booked and released, or waits until it may be sent. */
  flush(nowNs: number): void {
    for (const [at, due] of this.#due.entries()) {
      const { isUrgent } = this.#replicas[at]!;
      if (!due || (this.#isWaiting[at] && !isUrgent)) continue;
      const waitMs = this.#spec.paced ? this.#paces[at]!.waitMs(nowNs / 1e6, isUrgent) : 0;
      if (waitMs === 0) {
        this.#tell(at, nowNs);
        continue;
      }
      if (this.#isWaiting[at]) continue;
      this.#isWaiting[at] = true;
      this.#schedule(nowNs + Math.ceil(waitMs * 1e6), { kind: 'router-flush', router: at });
    }
  }

  figures(nowNs: number): SharingFigures {
    const views = [...this.#past, ...this.#replicas.map((replica) => replica.view(nowNs / 1e6))];
    const counts = views.flatMap(({ origins }) => origins.map((origin) => origin.counts));
    const sum = (of: (one: (typeof counts)[number]) => number): number => counts.reduce((all, one) => all + of(one), 0);
    return {
      messages: views.reduce((all, { sent }) => all + sent.gauges + sent.deltas, 0),
      bytes: views.reduce((all, { sent }) => all + sent.bytes, 0),
      gaps: sum(({ gaps }) => gaps),
      healed: sum(({ healed }) => healed),
      resets: sum(({ resets }) => resets),
      lost: sum(({ lost }) => lost),
      unpromised: sum(({ unpromised }) => unpromised),
      loadErrorTokens: this.#loadErrorTokens(),
    };
  }

  #loadErrorTokens(): number {
    let error = 0;
    for (const router of this.#routers) {
      for (const load of router.loads()) {
        const theirs = this.#routers.filter((other) => other !== router).map((other) => other.load(load.index));
        const blocks = theirs.reduce((all, one) => all + one.activeBlocks, 0);
        const prefill = theirs.reduce((all, one) => all + one.activePrefillTokens, 0);
        error +=
          Math.abs(load.othersBlocks + load.commonBlocks - blocks) * load.blockSize +
          Math.abs(load.othersPrefillTokens - prefill);
      }
    }
    return error;
  }

  #tell(at: number, nowNs: number): void {
    this.#due[at] = false;
    this.#paces[at]!.sent(nowNs / 1e6);
    this.#send(at, this.#replicas[at]!.flush(nowNs / 1e6), nowNs);
  }

  #start(at: number): Replica {
    this.#epochs[at] = (this.#epochs[at] ?? 0) + 1;
    const replica = new Replica({ origin: `router ${at}`, epoch: this.#epochs[at], chains: this.#spec.chains });
    replica.addPool('model', this.#routers[at]!);
    this.#due[at] = false;
    this.#paces[at] = new MessagePace();
    replica.onDue = () => {
      this.#due[at] = true;
    };
    return replica;
  }

  /** Router number i of n starts its sharing anew when the share (i + 1) / (n + 1) of the arrivals is over. */
  #restart(at: number, nowNs: number): void {
    const { fromNs, untilNs } = this.#span;
    const dueNs = fromNs + ((untilNs - fromNs) * (at + 1)) / (this.#routers.length + 1);
    if (!this.#spec.restarts || this.#epochs[at] !== 1 || nowNs < dueNs) return;
    this.#past.push(this.#replicas[at]!.view(nowNs / 1e6));
    this.#replicas[at]!.end(nowNs / 1e6);
    this.#replicas[at] = this.#start(at);
  }

  #send(from: number, messages: readonly Uint8Array[], nowNs: number): void {
    for (const bytes of messages) {
      for (const to of this.#replicas.keys()) {
        if (to === from || this.#isCut(from, to, nowNs) || this.#random.float() < this.#spec.loss) continue;
        this.#deliver(to, bytes, nowNs);
        if (this.#spec.duplicate > 0 && this.#random.float() < this.#spec.duplicate) this.#deliver(to, bytes, nowNs);
      }
    }
  }

  #deliver(to: number, bytes: Uint8Array, nowNs: number): void {
    const { delayMs, jitterMs } = this.#spec;
    const lateMs = delayMs + (jitterMs > 0 ? jitterMs * this.#random.float() : 0);
    this.#schedule(nowNs + Math.round(lateMs * 1e6), { kind: 'router-message', to, bytes });
  }

  #isCut(from: number, to: number, nowNs: number): boolean {
    const { fromNs, untilNs } = this.#span;
    const startNs = (fromNs + untilNs) / 2;
    const half = this.#replicas.length / 2;
    return nowNs >= startNs && nowNs < startNs + this.#spec.partitionMs * 1e6 && from < half !== to < half;
  }

  #schedule(timeNs: number, event: NetworkEvent): void {
    assert(timeNs >= 0, 'time is not negative');
    this.#pending++;
    this.#post(timeNs, event);
  }
}

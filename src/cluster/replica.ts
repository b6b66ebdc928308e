// One replica of the router among others that send requests to the same workers: a state machine.
//
// Bytes in (`receive`), bytes out (`flush`, `tick`, `goodbye`), time as an argument. It reads and writes the routers of
// its pools (`Router.shared`) and nothing else. Messages may be lost, doubled, late or in any order; whatever happened,
// the view of another replica is exact again after its next gauge. Without that replica's messages its load is gone
// after `silentMsMax`.

import type { Router } from '../core/router.ts';
import { ByteWriter } from './byte-writer.ts';
import { decodeMessage } from './decode-message.ts';
import { writeHead } from './encode-message.ts';
import {
  allWorkersMax,
  earlyGaugeMs,
  gaugeMs,
  missingMsMax,
  originsMax,
  rememberedMsMax,
  silentMsMax,
} from './limits.ts';
import type { Gauge, Message, Table } from './message.ts';
import { Origin, OriginsUse } from './origin.ts';
import { type ChainForm, OwnShare } from './own-share.ts';

export interface ReplicaOptions {
  /** Name of this process, unique in the cluster: 1 .. 512 bytes. */
  readonly origin: string;
  /** Higher at each start under the same name: its time in ms. */
  readonly epoch: number;
  /** Shown to the others: software version. */
  readonly about?: string;
  /** Replicas that there should be, this one included. Default: those that were heard of late. */
  readonly replicasExpected?: number;
  /** Default `sampled`. */
  readonly chains?: ChainForm;
}

/**
 * What became of a message. `own`: this replica's, echoed. `old`: doubled, late, or of an earlier epoch. `version`: of
 * another version or an unknown kind. `unreadable`: not a message. `full`: of one origin too many, or with more workers than
 * all origins together may have.
 */
export type Received = 'applied' | 'own' | 'old' | 'version' | 'unreadable' | 'full';

/** Ids in a view. */
const strangersShownMax = 8;

export interface OriginView {
  readonly origin: string;
  readonly about: string;
  readonly epoch: number;
  readonly state: Origin['state'];
  /** Since its last message. */
  readonly ageMs: number;
  readonly gaugeAgeMs: number;
  /** A message is missing since the last gauge. */
  readonly hasGap: boolean;
  /** Its requests in flight, as they are counted here. */
  readonly runningRequests: number;
  /** Its prompts that are being computed, and those that are computed and in flight. */
  readonly promisedPrompts: number;
  readonly runningPrompts: number;
  /** How far the view was from the latest gauge, in tokens of active blocks and prefill. */
  readonly correctedTokens: number;
  /** Workers of it that this replica has not, so that their load is not counted: number, and the first ids. */
  readonly strangeWorkers: number;
  readonly strangeWorkerIds: readonly string[];
  readonly counts: Readonly<Origin['counts']>;
}

export interface ReplicaView {
  readonly origin: string;
  readonly epoch: number;
  /** Some expected replica is not heard: loads are incomplete. */
  readonly partial: boolean;
  /** Replicas that are heard, this one included. */
  readonly replicas: number;
  readonly expected: number;
  readonly connected: boolean;
  readonly runningRequests: number;
  readonly origins: readonly OriginView[];
  readonly received: Readonly<Record<Received, number>>;
  readonly sent: { readonly gauges: number; readonly deltas: number; readonly bytes: number; readonly unsent: number };
}

export class Replica {
  /** Called synchronously when `flush` has something to send, and again when it becomes urgent. */
  onDue: () => void = () => undefined;
  readonly #options: ReplicaOptions;
  readonly #own: OwnShare;
  readonly #pools = new Map<string, Router>();
  readonly #origins = new Map<string, Origin>();
  /** What they take together. */
  readonly #use = new OriginsUse();
  readonly #received: Record<Received, number> = { applied: 0, own: 0, old: 0, version: 0, unreadable: 0, full: 0 };
  readonly #sent = { gauges: 0, deltas: 0, bytes: 0 };
  #sequence = 0;
  #nextGaugeMs = Number.NEGATIVE_INFINITY;
  #connected = true;
  /** Versions of the pools' workers that the origins' tables are resolved for. */
  #resolvedFor = 0;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.#own = new OwnShare(options.chains ?? 'sampled');
    this.#own.onChange = () => this.onDue();
  }

  /** @param name of the pool's model: the same on every replica */
  addPool(name: string, router: Router): void {
    this.#pools.set(name, router);
    this.#own.addPool(name, router);
    this.#resolvedFor = -1;
  }

  removePool(name: string): void {
    this.#pools.delete(name);
    this.#own.removePool(name);
    this.#resolvedFor = -1;
  }

  /** Takes everything back that the others' load has changed here. The replica must not be used afterwards. */
  end(nowMs: number): void {
    this.#resolve(nowMs);
    for (const origin of this.#origins.values()) origin.drop(nowMs);
    for (const [name, { shared }] of this.#pools) {
      this.#own.removePool(name);
      shared.ownScale = 1;
      shared.routersHeard = 1;
    }
  }

  /** What `flush` has to send should wait for no gap (see message-pace.ts). */
  get isUrgent(): boolean {
    return this.#own.isUrgent;
  }

  /**
   * Messages about what has changed since the last call, in order. Empty: nothing has. A gauge that is due soon goes with
   * them, so that it wakes nobody up by itself.
   */
  flush(nowMs: number): Uint8Array[] {
    if (!this.#own.isChanged) return [];
    const messages: Uint8Array[] = [];
    if (this.#own.needsGauge) messages.push(this.#gauge(nowMs));
    messages.push(this.#own.delta(this.#head()));
    this.#sent.deltas++;
    if (nowMs >= this.#nextGaugeMs - earlyGaugeMs) messages.push(this.#gauge(nowMs));
    return this.#counted(messages);
  }

  /** Call about every 50 ms. @returns messages to send, in order: with a gauge if none was sent for `gaugeMs` */
  tick(nowMs: number): Uint8Array[] {
    this.#resolve(nowMs);
    this.#forget(nowMs);
    for (const { shared } of this.#pools.values()) shared.expire(nowMs);
    if (nowMs < this.#nextGaugeMs) return [];
    return this.#own.isChanged ? this.flush(nowMs) : this.#counted([this.#gauge(nowMs)]);
  }

  /** Sent last: this replica's load is gone at once. */
  goodbye(): Uint8Array {
    const writer = new ByteWriter();
    writeHead(writer, 'goodbye', this.#head());
    return this.#counted([writer.take()])[0]!;
  }

  /** The bytes may be anyone's. Never throws. O(bytes) */
  receive(bytes: Uint8Array, nowMs: number): Received {
    const outcome = this.#receive(bytes, nowMs);
    this.#received[outcome]++;
    return outcome;
  }

  /** Whether the broker is there. Without it every replica that is not heard is missing, not gone. */
  setConnected(connected: boolean, nowMs: number): void {
    this.#connected = connected;
    this.#rescale(nowMs);
  }

  view(nowMs: number): ReplicaView {
    const { origin, epoch } = this.#options;
    const { replicas, expected } = this.#census(nowMs);
    return {
      origin,
      epoch,
      partial: replicas < expected,
      replicas,
      expected,
      connected: this.#connected,
      runningRequests: this.#own.runningRequests(),
      origins: [...this.#origins.values()].map((one) => viewOf(one, nowMs)),
      received: { ...this.#received },
      sent: { ...this.#sent, unsent: this.#own.unsent },
    };
  }

  /** The other replica of this name, for tests. */
  origin(name: string): Origin | undefined {
    return this.#origins.get(name);
  }

  #receive(bytes: Uint8Array, nowMs: number): Received {
    const message = decodeMessage(bytes, (origin, epoch, version) => {
      const known = this.#origins.get(origin);
      return known?.epoch === epoch && known.table?.version === version ? known.table : null;
    });
    if (typeof message === 'string') return message;
    const { head } = message;
    if (head.origin === this.#options.origin) return 'own';
    const origin = this.#origins.get(head.origin) ?? this.#newOrigin(head.origin);
    if (origin === null) return 'full';
    if (!isNext(origin, message)) {
      origin.counts.old++;
      return 'old';
    }
    if (message.body.kind === 'gauge' && !this.#hasRoom(origin, message.body.table)) return 'full';
    this.#resolve(nowMs);
    this.#apply(origin, message, nowMs);
    return 'applied';
  }

  /** Whether the origin may have this table in place of its own. */
  #hasRoom({ table: known }: Origin, table: Table): boolean {
    return this.#use.workers - (known?.workers.length ?? 0) + table.workers.length <= allWorkersMax;
  }

  #apply(origin: Origin, { head, body }: Message, nowMs: number): void {
    const { counts } = origin;
    if (head.epoch !== origin.epoch) {
      if (origin.epoch !== 0) counts.resets++;
      origin.drop(nowMs);
      origin.epoch = head.epoch;
    } else if (head.sequence > origin.sequence + 1) {
      counts.gaps += head.sequence - origin.sequence - 1;
      origin.hasGap = true;
    }
    origin.sequence = head.sequence;
    origin.heardMs = nowMs;
    counts.messages++;
    const wasHere = origin.state === 'here';
    origin.state = 'here';
    if (body.kind === 'gauge') this.#gauged(origin, body, nowMs);
    else if (body.kind === 'delta') origin.delta(body, nowMs);
    else {
      origin.drop(nowMs);
      origin.state = 'left';
    }
    if (wasHere !== (origin.state === 'here')) this.#rescale(nowMs);
  }

  #gauged(origin: Origin, gauge: Gauge, nowMs: number): void {
    origin.gauge(gauge, this.#pools, nowMs);
    origin.about = gauge.about;
    origin.gaugeAtMs = nowMs;
    if (origin.hasGap) origin.counts.healed++;
    origin.hasGap = false;
  }

  #newOrigin(name: string): Origin | null {
    if (this.#origins.size >= originsMax) return null;
    const origin = new Origin(name, this.#use);
    origin.state = 'left';
    this.#origins.set(name, origin);
    return origin;
  }

  /** Drops the load of replicas that are silent, and forgets those that were so for long. */
  #forget(nowMs: number): void {
    for (const [name, origin] of this.#origins) {
      const silentMs = nowMs - origin.heardMs;
      if (origin.state === 'here' && silentMs > silentMsMax) {
        origin.drop(nowMs);
        origin.state = 'lost';
        origin.counts.lost++;
      }
      if (origin.state !== 'here' && silentMs > rememberedMsMax) this.#origins.delete(name);
    }
    this.#rescale(nowMs);
  }

  #census(nowMs: number): { readonly replicas: number; readonly expected: number } {
    let replicas = 1;
    let missing = 0;
    for (const { state, heardMs } of this.#origins.values()) {
      if (state === 'here') replicas++;
      else if (state === 'lost' && (!this.#connected || nowMs - heardMs <= missingMsMax)) missing++;
    }
    return { replicas, expected: Math.max(replicas + missing, this.#options.replicasExpected ?? 1) };
  }

  /** Where load is compared with a limit, each replica that is missing is assumed to be as busy as the others. */
  #rescale(nowMs: number): void {
    const { replicas, expected } = this.#census(nowMs);
    for (const { shared } of this.#pools.values()) {
      if (shared.ownScale !== expected / replicas) shared.ownScale = expected / replicas;
      shared.routersHeard = replicas;
    }
  }

  #resolve(nowMs: number): void {
    let version = 0;
    for (const { shared } of this.#pools.values()) version += shared.workersVersion;
    if (version === this.#resolvedFor) return;
    this.#resolvedFor = version;
    for (const origin of this.#origins.values()) origin.resolve(this.#pools, nowMs);
  }

  #head(): Message['head'] {
    return { origin: this.#options.origin, epoch: this.#options.epoch, sequence: ++this.#sequence };
  }

  #gauge(nowMs: number): Uint8Array {
    this.#nextGaugeMs = nowMs + gaugeMs;
    this.#sent.gauges++;
    return this.#own.gauge(this.#head(), this.#options.about ?? '');
  }

  #counted(messages: Uint8Array[]): Uint8Array[] {
    for (const { length } of messages) this.#sent.bytes += length;
    return messages;
  }
}

/** Of an earlier epoch only if the origin is gone: its clock may have been set back. */
function isNext(origin: Origin, { head }: Message): boolean {
  if (head.epoch === origin.epoch) return head.sequence > origin.sequence;
  return head.epoch > origin.epoch || origin.state !== 'here';
}

function viewOf(one: Origin, nowMs: number): OriginView {
  const strangers = one.strangeWorkers();
  return {
    origin: one.name,
    about: one.about,
    epoch: one.epoch,
    state: one.state,
    ageMs: nowMs - one.heardMs,
    gaugeAgeMs: nowMs - one.gaugeAtMs,
    hasGap: one.hasGap,
    runningRequests: one.runningRequests,
    promisedPrompts: one.promisedPrompts,
    runningPrompts: one.runningPrompts,
    correctedTokens: one.correctedTokens,
    strangeWorkers: strangers.length,
    strangeWorkerIds: strangers.slice(0, strangersShownMax),
    counts: { ...one.counts },
  };
}

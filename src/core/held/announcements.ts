// What requests have computed on a worker, against the KV events that tell of it: promises until they do, and how late they are.

import type { BlockHashes, KvEvent, WorkerIndex } from '../types.ts';
import { EventLag } from './event-lag.ts';
import { LingeringPromises } from './lingering-promises.ts';
import type { PrefixIndex } from './prefix-index.ts';

export class Announcements {
  readonly promises: LingeringPromises;
  readonly lag: EventLag;

  constructor(index: PrefixIndex) {
    this.promises = new LingeringPromises(index);
    this.lag = new EventLag(index);
    index.onRemoved = (worker, low, high) => this.promises.removed(worker, low, high);
  }

  /** Nothing is known of the worker's blocks any more, or of how late its events are. */
  forget(worker: WorkerIndex): void {
    this.promises.drop(worker);
    this.lag.reset(worker);
  }

  /**
   * A request has ended whose prompt was computed.
   * @param wholeAnswer the answer came in one piece: no earlier sign that the prompt was computed
   * @param promises whether its blocks count until an event tells of them
   */
  ended(worker: WorkerIndex, hashes: BlockHashes, wholeAnswer: boolean, promises: boolean, nowMs: number): void {
    if (wholeAnswer) this.lag.computed(worker, hashes, nowMs);
    if (promises) this.promises.add(hashes, worker, this.lag.lingerMs(worker), nowMs);
  }

  /** An event of the worker has been applied to the index. */
  applied(worker: WorkerIndex, { kind }: KvEvent, nowMs: number): void {
    if (kind === 'cleared') this.promises.drop(worker);
    if (kind !== 'stored') return;
    this.lag.stored(worker, nowMs);
    this.promises.confirm(worker);
  }
}

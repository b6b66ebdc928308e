// Compares the prompts that workers computed with the KV events that announce them: lingering promises and event lag.

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
    index.listener = this.promises;
  }

  /** Drops the worker's promises and its observed lag. */
  forget(worker: WorkerIndex): void {
    this.promises.drop(worker);
    this.lag.reset(worker);
  }

  /**
   * A request has ended, and its prompt was computed.
   * @param wholeAnswer the answer was not streamed, so this is the first sign that the prompt was computed
   * @param promises whether its blocks count as overlap until an event announces them
   */
  ended(worker: WorkerIndex, hashes: BlockHashes, wholeAnswer: boolean, promises: boolean, nowMs: number): void {
    if (wholeAnswer) this.lag.computed(worker, hashes, nowMs);
    if (promises) this.promises.add(hashes, worker, this.lag.lingerMs(worker), nowMs);
  }

  /** An event of the worker was applied to the index. */
  applied(worker: WorkerIndex, { kind }: KvEvent, nowMs: number): void {
    if (kind === 'cleared') this.promises.drop(worker);
    if (kind !== 'stored') return;
    this.lag.stored(worker, nowMs);
    this.promises.confirm(worker);
  }
}

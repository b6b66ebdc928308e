// The subscription to one publisher of KV events: every event once and in order, losses repaired by replay or told of.

import { KvBatchReader, type KvFrames, readKvFrames, type SkipReason } from '../../wire/kv-events.ts';
import type { FeedAddress } from './feed-address.ts';
import type { FeedCommons } from './feed-commons.ts';
import { type FeedConnection, OutgoingConnection } from './feed-connection.ts';
import type { FeedBreak, FeedListener } from './feed-listener.ts';
import { FeedMemory } from './feed-memory.ts';
import { FeedSequence, firstSeqMax, type SequenceVerdict } from './feed-sequence.ts';
import { type FeedLoss, type FeedStatus, FeedTally } from './feed-status.ts';
import { FeedWatch } from './feed-watch.ts';
import { scrambleHandles } from './handle-scrambler.ts';
import { IncomingConnection } from './incoming-connection.ts';
import type { IntakeBudget } from './intake-budget.ts';
import { ReplayError, replayBatches } from './kv-replay.ts';

/** Items of a payload checked between two looks at the clock: well under a millisecond. */
const itemsPerLookMax = 16_384;
/** Between two looks at what no message shows. */
const lookMs = 2000;
/** Events of one batch that can't be read; then the rest of it is left out. */
const malformedEventsMax = 8;
/** After a replay that failed. */
const replayPauseMs = 30_000;
/** Between two replays of everything; twice as long each time. */
const resyncPauseMs = 30_000;
const resyncPauseMsMax = 600_000;
/** One to find that the publisher is a new one, one to follow that. */
const replayAttemptsMax = 2;

export class KvFeed {
  readonly #address: FeedAddress;
  readonly #listener: FeedListener;
  readonly #commons: FeedCommons;
  readonly #budget: IntakeBudget;
  readonly #sequence = new FeedSequence();
  readonly #memory = new FeedMemory();
  readonly #tally = new FeedTally();
  readonly #connection: FeedConnection;
  readonly #closing = new AbortController();
  #lookTimer: NodeJS.Timeout | undefined;
  #openedMs = 0;
  /** Live batches and replays come to the listener one after the other. */
  #tasks: Promise<void> = Promise.resolve();
  #replaying = false;
  /** This connection has shown that nothing is missing, or what. */
  #proven = false;
  #loss: FeedLoss | null = null;
  #noReplayBeforeMs = 0;
  #noResyncBeforeMs = 0;
  #watch: FeedWatch;
  #onCurrent: (() => void) | null = null;

  constructor(address: FeedAddress, listener: FeedListener, commons: FeedCommons) {
    this.#address = address;
    this.#listener = listener;
    this.#commons = commons;
    this.#budget = commons.budget;
    this.#watch = new FeedWatch(commons.deadMs, performance.now());
    const heard = {
      connected: () => this.#connected(),
      message: (frames: readonly Uint8Array[]) => this.#message(frames),
    };
    this.#connection =
      address.mode === 'bind'
        ? new IncomingConnection(address, heard, commons)
        : new OutgoingConnection(address, heard, commons);
  }

  get address(): FeedAddress {
    return this.#address;
  }

  get status(): FeedStatus {
    const { endpoint, mode, topic, replayEndpoint } = this.#address;
    const { publishers, disconnects, error, failure } = this.#connection;
    const open = publishers > 0 ? (this.#tally.batches === 0 ? 'silent' : 'live') : 'connecting';
    return {
      endpoint,
      mode,
      topic,
      replayEndpoint,
      state: this.#closing.signal.aborted ? 'closed' : open,
      error,
      failure,
      isDead: this.#watch.isDead,
      openMs: performance.now() - this.#openedMs,
      publishers,
      disconnects,
      replaying: this.#replaying,
      proven: this.#proven,
      loss: this.#loss,
      lastSeq: this.#sequence.last,
      lostBatches: this.#sequence.lostBatches,
      ...this.#tally,
    };
  }

  /** Nothing is known to be missing. */
  get whole(): boolean {
    return this.#loss === null && this.#proven;
  }

  /** Subscribes; whatever happens to the connection, it is made again. Further calls do nothing. */
  open(): void {
    if (this.#openedMs > 0) return;
    this.#openedMs = performance.now();
    this.#watch = new FeedWatch(this.#commons.deadMs, this.#openedMs);
    this.#connection.open();
    this.#lookTimer = setInterval(() => this.#guard(() => this.#look()), Math.min(lookMs, this.#commons.deadMs / 2));
  }

  /** @returns once connected and caught up, or closed, or after `timeoutMs` */
  whenCurrent(timeoutMs: number): Promise<void> {
    if (this.#connection.publishers > 0 && !this.#replaying) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#onCurrent = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** The publisher's process is known to have ended, whether or not a new one has been heard by now. */
  publisherGone(): void {
    void this.#enqueue(async () => {
      this.#beginAnew('restart');
      await this.#catchUp();
    });
  }

  /**
   * Events made no sense: blocks hang on blocks that were never told of. All is asked for again, unless a loss explains
   * it, or that was tried a moment ago: then the loss stands.
   */
  resync(): void {
    if (this.#loss !== null && this.#loss.kind !== 'orphans') return;
    this.#lose({ kind: 'orphans', batches: 0 });
    this.#replayAll();
  }

  /** All that the publisher still keeps, unless that was tried a moment ago. */
  #replayAll(): void {
    if (!this.#canReplay() || performance.now() < this.#noResyncBeforeMs) return;
    const pauseMs = Math.min(resyncPauseMs * 2 ** this.#tally.resyncs, resyncPauseMsMax);
    this.#noResyncBeforeMs = performance.now() + pauseMs;
    this.#tally.resyncs += 1;
    void this.#enqueue(async () => {
      this.#replaying = true;
      await this.#replay(0, 'resync');
      this.#replaying = false;
    });
  }

  /** More blocks were told of than the engine can hold: removals are missing, or it is not what it says. */
  overfull(): void {
    this.#tally.overflows += 1;
    this.#break('overfull', { kind: 'overfull', batches: 0 });
  }

  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    clearInterval(this.#lookTimer);
    this.#onCurrent?.();
    this.#connection.close();
    this.#guard(() => this.#listener.closed());
  }

  #connected(): void {
    this.#replaying = this.#canReplay();
    void this.#enqueue(async () => {
      // What did not answer may have been the process before.
      this.#noReplayBeforeMs = 0;
      if (this.#watch.connected()) this.#revive();
      this.#sequence.connected();
      this.#proven = false;
      await this.#catchUp();
      this.#onCurrent?.();
    });
  }

  async #message(message: readonly Uint8Array[]): Promise<void> {
    if (this.#budget.spent) await this.#budget.nextTurn();
    const frames = readKvFrames(message);
    if (frames.kind === 'failed') this.#tally.malformed += 1;
    else await this.#enqueue(() => this.#live(frames));
  }

  #enqueue(task: () => Promise<void>): Promise<void> {
    this.#tasks = this.#tasks.then(() => this.#run(task));
    return this.#tasks;
  }

  /** Whatever goes wrong while a batch is applied is this feed's loss, and nobody else's. */
  async #run(task: () => Promise<void>): Promise<void> {
    if (this.#closing.signal.aborted) return;
    try {
      await task();
    } catch (error) {
      this.#tally.failures += 1;
      this.#replaying = false;
      this.#guard(() => {
        this.#listener.failed(error);
        this.#break('malformed', { kind: 'lost-batches', batches: 1 });
      });
    }
  }

  #guard(step: () => void): void {
    try {
      step();
    } catch {
      // Counted, and said at the first time; there is nobody else to tell.
      this.#tally.failures += 1;
    }
  }

  async #live({ seq, payload }: KvFrames): Promise<void> {
    this.#watch.heard();
    const verdict = this.#sequence.judge(seq);
    if (verdict === 'restart' && this.#memory.has(seq, payload)) {
      this.#tally.duplicates += 1;
      return;
    }
    // A 1 that comes first begins some feeds; of the others it says that the 0 was lost.
    const inOrder = verdict === 'next' && !(this.#sequence.last === -1 && seq > 0);
    if (!inOrder && verdict !== 'overlap' && this.#canReplay()) {
      if (verdict === 'restart') this.#beginAnew('restart');
      await this.#catchUp();
    }
    await this.#settle(seq, payload, this.#sequence.accept(seq));
  }

  #canReplay(): boolean {
    return this.#address.replayEndpoint !== null && performance.now() >= this.#noReplayBeforeMs;
  }

  /** Replays what is missing behind the last batch, or everything from a publisher that proves to be a new one. */
  async #catchUp(): Promise<void> {
    this.#replaying = this.#canReplay();
    if (this.#replaying) await this.#replayMissing();
    this.#replaying = false;
  }

  async #replayMissing(): Promise<void> {
    for (let attempt = 1; attempt <= replayAttemptsMax; attempt++) {
      // The last batch is asked for as well: if it is another one now, or gone, the publisher is a new one.
      if ((await this.#replay(Math.max(0, this.#sequence.last), 'catch-up')) !== 'new-publisher') return;
    }
  }

  async #replay(fromSeq: number, purpose: 'catch-up' | 'resync'): Promise<'done' | 'failed' | 'new-publisher'> {
    const known = purpose === 'resync' ? -1 : this.#sequence.last;
    let first = true;
    const release = await this.#budget.replaySlot();
    try {
      for await (const { seq, payload } of replayBatches(
        this.#address.replayEndpoint!,
        fromSeq,
        this.#closing.signal,
        this.#commons,
      )) {
        if (first && purpose === 'resync') this.#beginAnew('resync');
        if (first && seq === known && !this.#memory.has(seq, payload)) {
          this.#beginAnew('restart');
          return 'new-publisher';
        }
        first = false;
        if (this.#budget.spent) await this.#budget.nextTurn();
        await this.#settle(seq, payload, this.#sequence.acceptReplayed(seq), true);
      }
      this.#proven = true;
      if (!first || known === -1) return 'done';
      this.#beginAnew('restart');
      return 'new-publisher';
    } catch (error) {
      if (!(error instanceof ReplayError)) throw error;
      this.#tally.failedReplays += 1;
      this.#noReplayBeforeMs = performance.now() + replayPauseMs;
      return 'failed';
    } finally {
      release();
    }
  }

  async #settle(seq: number, payload: Uint8Array, verdict: SequenceVerdict, replayed = false): Promise<void> {
    const { missing } = this.#sequence;
    switch (verdict) {
      case 'overlap':
        return;
      case 'gap':
        this.#break('gap', { kind: 'lost-batches', batches: missing });
        break;
      case 'restart':
        this.#memory.clear();
        this.#break('restart', seq > firstSeqMax ? { kind: 'late-join', batches: missing } : null);
        break;
      case 'late-join':
        this.#lose({ kind: 'late-join', batches: missing });
        break;
      case 'next':
        break;
    }
    this.#proven = true;
    this.#memory.add(seq, payload);
    this.#tally.batches += 1;
    if (replayed) this.#tally.replayedBatches += 1;
    await this.#apply(payload);
  }

  /** Gives way to other work between two events; a large payload is checked in pieces, too. */
  async #apply(payload: Uint8Array): Promise<void> {
    const reader = new KvBatchReader(payload);
    let head = reader.open(itemsPerLookMax);
    while (head === null) {
      if (this.#budget.spent) await this.#budget.nextTurn();
      head = reader.open(itemsPerLookMax);
    }
    if (head.kind === 'failed') {
      // Its events are lost as surely as those of a batch that never came.
      this.#tally.malformed += 1;
      this.#break('malformed', { kind: 'lost-batches', batches: 1 });
      return;
    }
    this.#listener.batch(head);
    let malformed = 0;
    for (let event = reader.next(); event !== null; event = reader.next()) {
      if (this.#closing.signal.aborted) return;
      if (typeof event === 'string') {
        this.#skip(event);
        // Each makes void what the ones before it told: the rest is taken as lost with them.
        if (event === 'malformed' && ++malformed >= malformedEventsMax) return;
      } else {
        // An empty cache is known in full.
        if (event.kind === 'cleared') this.#loss = null;
        scrambleHandles(event);
        this.#listener.event(event);
      }
      if (this.#budget.spent) await this.#budget.nextTurn();
    }
  }

  #skip(reason: SkipReason): void {
    this.#listener.skipped(reason);
    // It may have been a removal.
    if (reason === 'malformed') this.#break('malformed', { kind: 'lost-batches', batches: 1 });
  }

  /** What comes next is the publisher's first batch, or as good as that. */
  #beginAnew(reason: 'restart' | 'resync'): void {
    this.#sequence.reset();
    this.#proven = false;
    if (reason === 'restart') this.#memory.clear();
    this.#break(reason, null);
  }

  #break(reason: FeedBreak, loss: FeedLoss | null): void {
    this.#lose(loss);
    if (reason === 'restart') this.#tally.restarts += 1;
    else if (reason !== 'resync') this.#tally.gaps += 1;
    this.#listener.broken(reason);
  }

  #lose(loss: FeedLoss | null): void {
    this.#loss = loss;
    if (loss !== null) this.#listener.lost();
  }

  /** Finds what no message shows: that nobody is there, losses that no replay has mended, the loss of the last batches. */
  #look(): void {
    if (this.#connection.publishers === 0) {
      if (!this.#watch.absent(performance.now())) return;
      const { error, failure } = this.#connection;
      this.#listener.dead(error ?? failure ?? 'no publisher has connected');
    } else if (this.#address.replayEndpoint === null) return;
    else if (this.#loss?.kind === 'lost-batches') this.#replayAll();
    else this.#checkTail();
  }

  /** All that was known of its blocks was given up with it. */
  #revive(): void {
    this.#sequence.reset();
    this.#loss = null;
    this.#listener.alive();
  }

  #checkTail(): void {
    const { batches } = this.#tally;
    if (this.#replaying || !this.#canReplay() || !this.#watch.isTailDue(batches, performance.now())) return;
    void this.#enqueue(async () => {
      await this.#replayMissing();
      if (this.#tally.batches === batches || !this.#watch.isStalled()) return;
      this.#tally.stalls += 1;
      this.#connection.renew();
    });
  }
}

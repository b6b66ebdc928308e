// The subscription to one KV-event publisher: every event once and in order; losses are replayed or reported.

import { type KvFrames, readKvFrames, type SkipReason } from '../../wire/kv-events.ts';
import type { FeedAddress } from './feed-address.ts';
import { FeedAdoption } from './feed-adoption.ts';
import { type BatchListener, readBatch } from './feed-batch.ts';
import type { FeedCommons } from './feed-commons.ts';
import { type FeedConnection, OutgoingConnection } from './feed-connection.ts';
import type { FeedBreak, FeedListener } from './feed-listener.ts';
import { type BatchPrint, FeedMemory } from './feed-memory.ts';
import { FeedSequence, firstSeqMax, type SequenceVerdict } from './feed-sequence.ts';
import { type FeedLoss, type FeedStatus, FeedTally, feedStatus } from './feed-status.ts';
import { FeedWatch } from './feed-watch.ts';
import { IncomingConnection } from './incoming-connection.ts';
import { ReplayError, replayBatches } from './kv-replay.ts';

/** Interval of `#look`. */
const lookMs = 2000;
/** Pause after a failed replay. */
const replayPauseMs = 30_000;
/** Pause between two full replays; doubles each time. */
const resyncPauseMs = 30_000;
const resyncPauseMsMax = 600_000;
/** One to find that the publisher is new, one to replay it. */
const replayAttemptsMax = 2;

export class KvFeed {
  readonly #address: FeedAddress;
  readonly #listener: FeedListener;
  readonly #commons: FeedCommons;
  readonly #sequence = new FeedSequence();
  readonly #memory = new FeedMemory();
  readonly #tally = new FeedTally();
  readonly #connection: FeedConnection;
  readonly #closing = new AbortController();
  #lookTimer: NodeJS.Timeout | undefined;
  #openedMs = 0;
  /** Passes live batches and replays to the listener one after the other. */
  #tasks: Promise<void> = Promise.resolve();
  #replaying = false;
  /** Whether this connection has shown which batches are missing, if any. */
  #proven = false;
  #loss: FeedLoss | null = null;
  #noReplayBeforeMs = 0;
  #noResyncBeforeMs = 0;
  #watch: FeedWatch;
  readonly #reading: BatchListener;
  readonly #adoption: FeedAdoption;
  #onCurrent: (() => void) | null = null;

  constructor(address: FeedAddress, listener: FeedListener, commons: FeedCommons) {
    this.#address = address;
    this.#listener = listener;
    this.#commons = commons;
    this.#watch = new FeedWatch(commons.deadMs, performance.now());
    const heard = {
      connected: () => this.#connected(),
      disconnected: () => this.#guard(() => listener.disconnected?.()),
      message: (frames: readonly Uint8Array[]) => this.#message(frames),
    };
    const connection = address.mode === 'bind' ? IncomingConnection : OutgoingConnection;
    this.#connection = new connection(address, heard, commons);
    this.#reading = {
      signal: this.#closing.signal,
      // Its events are lost, as if the batch had never arrived.
      unreadable: () => {
        this.#tally.malformed += 1;
        this.#break('malformed', { kind: 'lost-batches', batches: 1 });
      },
      head: (head) => listener.batch(head),
      skipped: (reason) => this.#skip(reason),
      event: (event) => {
        // The contents of an empty cache are fully known.
        if (event.kind === 'cleared') this.#loss = null;
        listener.event(event);
      },
    };
    const { signal } = this.#closing;
    this.#adoption = new FeedAdoption(this.#sequence, this.#memory, { budget: this.#commons.budget, signal, listener });
  }

  get address(): FeedAddress {
    return this.#address;
  }

  get status(): FeedStatus {
    return feedStatus(this.#address, this.#connection, this.#tally, {
      isClosed: this.#closing.signal.aborted,
      isDead: this.#watch.isDead,
      openMs: performance.now() - this.#openedMs,
      replaying: this.#replaying,
      proven: this.#proven,
      loss: this.#loss,
      lastSeq: this.#sequence.last,
      lostBatches: this.#sequence.lostBatches,
    });
  }

  /** Whether no batch is missing, as shown by this connection. */
  get whole(): boolean {
    return this.#loss === null && this.#proven;
  }

  /** Runs `task` between two batches. @returns null: batches are missing here, or the feed is closed */
  async whenWhole<T>(task: (lastSeq: number, prints: readonly BatchPrint[]) => T): Promise<T | null> {
    let result: T | null = null;
    await this.#enqueue(() => {
      if (this.whole) result = task(this.#sequence.last, this.#memory.prints());
      return Promise.resolve();
    });
    return result;
  }

  /** Subscribes, and reconnects after every failure. Later calls do nothing. */
  open(): void {
    if (this.#openedMs > 0) return;
    this.#openedMs = performance.now();
    this.#watch = new FeedWatch(this.#commons.deadMs, this.#openedMs);
    this.#connection.open();
    this.#lookTimer = setInterval(() => this.#guard(() => this.#look()), Math.min(lookMs, this.#commons.deadMs / 2));
  }

  /** @returns once connected and caught up, once closed, or after `timeoutMs` */
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

  /** Call when the publisher's process has ended. Batches of its successor may already have arrived. */
  publisherGone(): void {
    void this.#enqueue(async () => {
      this.#beginAnew('restart');
      await this.#catchUp();
    });
  }

  /**
   * Call when events refer to parent blocks that were never announced. Replays everything, unless a known loss explains
   * the orphans. If a full replay was tried a moment ago, the loss stands.
   */
  resync(): void {
    if (this.#loss !== null && this.#loss.kind !== 'orphans') return;
    this.#lose({ kind: 'orphans', batches: 0 });
    this.#replayAll();
  }

  /** Replays every batch that the publisher still keeps, unless that was tried a moment ago. */
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

  /** Call when more blocks were announced than the engine can hold: removals are missing, or its capacity is wrong. */
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
      // A replay that failed may have been the previous process's.
      this.#noReplayBeforeMs = 0;
      if (this.#watch.connected()) this.#revive();
      this.#sequence.connected();
      this.#proven = false;
      await this.#catchUp();
      await this.#adopt(this.#sequence.last);
      this.#onCurrent?.();
    });
  }

  async #message(message: readonly Uint8Array[]): Promise<void> {
    if (this.#commons.budget.spent) await this.#commons.budget.nextTurn();
    const frames = readKvFrames(message);
    if (frames.kind === 'failed') this.#tally.malformed += 1;
    else await this.#enqueue(() => this.#live(frames));
  }

  #enqueue(task: () => Promise<void>): Promise<void> {
    this.#tasks = this.#tasks.then(() => this.#run(task));
    return this.#tasks;
  }

  /** An error while a batch is applied is a loss of this feed only. */
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
      // Counted only: the listener that failed is the one to report to.
      this.#tally.failures += 1;
    }
  }

  async #live({ seq, payload }: KvFrames): Promise<void> {
    this.#watch.heard();
    if (this.#memory.has(seq, payload) && this.#sequence.judge(seq) === 'restart') {
      this.#tally.duplicates += 1;
      return;
    }
    // Known from a replay or another replica, and yet another batch: the publisher has restarted since.
    if (this.#sequence.judge(seq) === 'overlap' && this.#memory.differs(seq, payload)) this.#beginAnew('restart');
    const verdict = this.#sequence.judge(seq);
    // Some feeds begin with 1; in others a first 1 means that batch 0 was lost.
    const inOrder = verdict === 'next' && !(this.#sequence.last === -1 && seq > 0);
    if (!inOrder && verdict !== 'overlap' && this.#canReplay()) {
      if (verdict === 'restart') this.#beginAnew('restart');
      await this.#catchUp();
    }
    const behind = this.#sequence.judge(seq);
    if (behind === 'gap' || behind === 'late-join') await this.#adopt(seq - 1);
    await this.#settle(seq, payload, this.#sequence.accept(seq));
  }

  /** Takes over another replica's copy if batches are missing or may be missing. @param seqMin the last one needed */
  async #adopt(seqMin: number): Promise<void> {
    if ((this.whole && this.#sequence.last >= seqMin) || !this.#adoption.isDue) return;
    this.#replaying = true;
    const outcome = await this.#adoption.run(seqMin);
    this.#replaying = false;
    if (outcome === 'lost') this.#lose({ kind: 'lost-batches', batches: 1 });
    if (outcome !== 'whole') return;
    this.#loss = null;
    this.#proven = true;
    this.#tally.adoptions += 1;
  }

  #canReplay(): boolean {
    return this.#address.replayEndpoint !== null && performance.now() >= this.#noReplayBeforeMs;
  }

  /** Replays the batches after the last one, or all batches if the publisher proves to be new. */
  async #catchUp(): Promise<void> {
    this.#replaying = this.#canReplay();
    if (this.#replaying) await this.#replayMissing();
    this.#replaying = false;
  }

  async #replayMissing(): Promise<void> {
    for (let attempt = 1; attempt <= replayAttemptsMax; attempt++) {
      // Includes the last batch: if it differs or is gone, the publisher is new.
      if ((await this.#replay(Math.max(0, this.#sequence.last), 'catch-up')) !== 'new-publisher') return;
    }
  }

  async #replay(fromSeq: number, purpose: 'catch-up' | 'resync'): Promise<'done' | 'failed' | 'new-publisher'> {
    const known = purpose === 'resync' ? -1 : this.#sequence.last;
    let first = true;
    const release = await this.#commons.budget.replaySlot();
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
        if (this.#commons.budget.spent) await this.#commons.budget.nextTurn();
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
    await readBatch(payload, this.#commons, this.#reading);
  }

  #skip(reason: SkipReason): void {
    this.#listener.skipped(reason);
    // The event may have been a removal.
    if (reason === 'malformed') this.#break('malformed', { kind: 'lost-batches', batches: 1 });
  }

  /** Treats the next batch as the publisher's first. */
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

  /** Periodic check for an absent publisher, unrepaired losses and lost latest batches. */
  #look(): void {
    if (this.#connection.publishers > 0 && !this.whole && !this.#replaying && this.#adoption.isDue) {
      void this.#enqueue(() => this.#adopt(this.#sequence.last));
    }
    if (this.#connection.publishers === 0) {
      if (!this.#watch.absent(performance.now())) return;
      const { error, failure } = this.#connection;
      this.#listener.dead(error ?? failure ?? 'no publisher has connected');
    } else if (this.#address.replayEndpoint === null) return;
    else if (this.#loss?.kind === 'lost-batches') this.#replayAll();
    else this.#checkTail();
  }

  /** Starts afresh: nothing is known about the blocks of a feed that was given up. */
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

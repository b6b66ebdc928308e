// The subscription to one publisher of KV events: checked batches in order, losses repaired by replay or told of.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { Subscriber } from 'zeromq';
import { decodeKvBatch, type KvBatch, readKvFrames } from '../wire/kv-events.ts';
import { FeedSequence, type SequenceVerdict } from './feed-sequence.ts';
import { replayBatches } from './kv-replay.ts';

/** Batches that wait while the event loop is busy, or for a replay to end; more are lost, and show as a gap. */
const waitingBatchesMax = 100_000;
/** Batches handled before other sockets get their turn. */
const batchesPerTurnMax = 64;
const reconnectMsMin = 100;
const reconnectMsMax = 1000;
const heartbeatMs = 5000;
const heartbeatTimeoutMs = 15_000;

/** Why all that was known of the publisher's blocks is void. */
export type FeedBreak = 'gap' | 'restart';

export interface FeedAddress {
  readonly endpoint: string;
  /** Only batches whose topic begins with it. */
  readonly topic: string;
  /** Where batches can be asked for again; null: nowhere. */
  readonly replayEndpoint: string | null;
}

export interface FeedListener {
  batch(batch: KvBatch): void;
  /** Called ahead of the batch that showed it. */
  broken(reason: FeedBreak): void;
}

/** `silent`: connected, but no batch has come yet. */
export type FeedState = 'connecting' | 'silent' | 'live' | 'closed';

export interface FeedStatus {
  readonly endpoint: string;
  readonly state: FeedState;
  readonly lastSeq: number;
  readonly batches: number;
  /** Of `batches`: those that a replay has brought. */
  readonly replayedBatches: number;
  readonly failedReplays: number;
  readonly lostBatches: number;
  readonly gaps: number;
  readonly restarts: number;
  /** Messages that were no batch. */
  readonly malformed: number;
}

interface HeldBatch {
  readonly seq: number;
  readonly payload: Uint8Array;
}

export class KvFeed {
  readonly #address: FeedAddress;
  readonly #listener: FeedListener;
  readonly #sequence = new FeedSequence();
  readonly #socket: Subscriber;
  readonly #closing = new AbortController();
  #opened = false;
  #connected = false;
  #onCurrent: (() => void) | null = null;
  /** Live batches that wait for a replay to end; null: none is under way. */
  #held: HeldBatch[] | null = null;
  #batches = 0;
  #replayedBatches = 0;
  #failedReplays = 0;
  #gaps = 0;
  #restarts = 0;
  #malformed = 0;

  constructor(address: FeedAddress, listener: FeedListener) {
    this.#address = address;
    this.#listener = listener;
    this.#socket = new Subscriber({
      receiveHighWaterMark: waitingBatchesMax,
      reconnectInterval: reconnectMsMin,
      reconnectMaxInterval: reconnectMsMax,
      heartbeatInterval: heartbeatMs,
      heartbeatTimeout: heartbeatTimeoutMs,
      linger: 0,
    });
  }

  get status(): FeedStatus {
    const open = this.#connected ? (this.#batches === 0 ? 'silent' : 'live') : 'connecting';
    return {
      endpoint: this.#address.endpoint,
      state: this.#closing.signal.aborted ? 'closed' : open,
      lastSeq: this.#sequence.last,
      batches: this.#batches,
      replayedBatches: this.#replayedBatches,
      failedReplays: this.#failedReplays,
      lostBatches: this.#sequence.lostBatches,
      gaps: this.#gaps,
      restarts: this.#restarts,
      malformed: this.#malformed,
    };
  }

  /** Subscribes; whatever happens to the connection, it is made again. Further calls do nothing. */
  open(): void {
    if (this.#opened) return;
    this.#opened = true;
    this.#socket.events.on('handshake', () => this.#onHandshake());
    this.#socket.events.on('disconnect', () => {
      this.#connected = false;
    });
    this.#socket.subscribe(this.#address.topic);
    this.#socket.connect(this.#address.endpoint);
    void this.#receive();
  }

  /** @returns once connected and caught up, or closed, or after `timeoutMs` */
  whenCurrent(timeoutMs: number): Promise<void> {
    if (this.#connected && this.#held === null) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#onCurrent = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** The publisher's process is known to be gone: what comes next is from a new one. */
  expectNewPublisher(): void {
    this.#sequence.reset();
  }

  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#onCurrent?.();
    this.#socket.close();
  }

  #onHandshake(): void {
    this.#connected = true;
    this.#sequence.connected();
    if (this.#canReplay()) void this.#catchUp();
    else this.#onCurrent?.();
  }

  async #receive(): Promise<void> {
    let inTurn = 0;
    for await (const message of this.#socket) {
      const frames = readKvFrames(message);
      if (frames.kind === 'failed') this.#malformed += 1;
      else this.#live(frames);
      inTurn += 1;
      if (inTurn < batchesPerTurnMax) continue;
      inTurn = 0;
      await nextTurn();
    }
  }

  #live(batch: HeldBatch): void {
    if (this.#held !== null) {
      if (this.#held.length < waitingBatchesMax) this.#held.push(batch);
      return;
    }
    const verdict = this.#sequence.judge(batch.seq);
    const complete = verdict === 'next' || verdict === 'overlap';
    if (complete || !this.#canReplay()) {
      this.#settle(this.#sequence.accept(batch.seq), batch.payload);
      return;
    }
    if (verdict === 'restart') {
      this.#sequence.reset();
      this.#break('restart');
    }
    void this.#catchUp(batch);
  }

  #canReplay(): boolean {
    return this.#address.replayEndpoint !== null && this.#held === null;
  }

  /** Replays what is missing behind the last batch; live batches wait meanwhile, `first` ahead of them. */
  async #catchUp(first?: HeldBatch): Promise<void> {
    const { replayEndpoint } = this.#address;
    const held = first === undefined ? [] : [first];
    this.#held = held;
    let inTurn = 0;
    const whole = await replayBatches(
      replayEndpoint!,
      this.#sequence.last + 1,
      async (seq, payload) => {
        this.#replayedBatches += 1;
        this.#settle(this.#sequence.acceptReplayed(seq), payload);
        inTurn += 1;
        if (inTurn % batchesPerTurnMax === 0) await nextTurn();
      },
      this.#closing.signal,
    );
    if (!whole) this.#failedReplays += 1;
    // What a replay could not bring is lost: these are taken as they are.
    for (const { seq, payload } of held) this.#settle(this.#sequence.accept(seq), payload);
    this.#held = null;
    this.#onCurrent?.();
  }

  #settle(verdict: SequenceVerdict, payload: Uint8Array): void {
    switch (verdict) {
      case 'overlap':
        return;
      case 'gap':
      case 'restart':
        this.#break(verdict);
        break;
      case 'next':
      case 'late-join':
        break;
    }
    const batch = decodeKvBatch(payload);
    if (batch.kind === 'failed') {
      // Its events are lost as surely as those of a batch that never came.
      this.#malformed += 1;
      this.#break('gap');
      return;
    }
    this.#batches += 1;
    this.#listener.batch(batch);
  }

  #break(reason: FeedBreak): void {
    if (reason === 'gap') this.#gaps += 1;
    else this.#restarts += 1;
    this.#listener.broken(reason);
  }
}

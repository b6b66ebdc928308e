// Asks a KV-event publisher for the batches that it still keeps, and again for those that its socket dropped.

import type { Socket } from 'node:net';
import { type KvFrames, readReplayReply, writeReplayRequest } from '../../wire/kv-events.ts';
import { dial, readSocketPlace } from './socket-place.ts';
import { type PeerCommons, ZmtpPeer } from './zmtp-peer.ts';

/** Time without a message after which the publisher is taken not to answer, or its last messages as dropped. */
const replyMsMax = 2000;
/** Pause between connection attempts. */
const redialMs = 200;
/** Longer replays are given up. A ring of 10,000 batches takes a second or two. */
const replayMsMax = 120_000;
/**
 * An answer of this many batches may have overflowed the publisher's socket, which drops batches but keeps the end
 * mark.
 */
const fullSocketMin = 100;
/** Batches still missing after this many requests are skipped. */
const requestsMax = 50;

/** The publisher did not answer, or not to the end. */
export class ReplayError extends Error {
  override readonly name = 'ReplayError';
}

/**
 * Every kept batch numbered `fromSeq` or higher, in order.
 *
 * On a busy machine vLLM queues messages faster than its socket sends them. Beyond 1,000 messages the socket drops
 * some: batches in between, or the end mark. So batches missing after one that arrived are requested again. If an
 * answer still begins later, the publisher no longer has the earlier ones.
 * @param signal aborts the replay
 * @throws ReplayError
 */
export async function* replayBatches(
  endpoint: string,
  fromSeq: number,
  signal: AbortSignal,
  commons: PeerCommons,
): AsyncGenerator<KvFrames, void, void> {
  const ended = new AbortController();
  const end = (): void => ended.abort();
  const timer = setTimeout(end, replayMsMax);
  signal.addEventListener('abort', end, { once: true });
  try {
    if (signal.aborted) end();
    yield* repliesInFull(endpoint, fromSeq, ended.signal, commons);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
  }
}

async function* repliesInFull(
  endpoint: string,
  fromSeq: number,
  signal: AbortSignal,
  commons: PeerCommons,
): AsyncGenerator<KvFrames, void, void> {
  let nextSeq = fromSeq;
  for (let request = 1; ; request++) {
    let came = 0;
    let isCut = false;
    try {
      for await (const frames of repliesTo(endpoint, nextSeq, signal, commons)) {
        // The publisher dropped batches in between.
        isCut = came > 0 && frames.seq > nextSeq && request < requestsMax;
        if (isCut) break;
        came += 1;
        nextSeq = frames.seq + 1;
        yield frames;
      }
      if (!isCut && (came < fullSocketMin || request >= requestsMax)) return;
    } catch (error) {
      if (!(error instanceof ReplayError) || came === 0 || signal.aborted || request >= requestsMax) throw error;
    }
  }
}

/** The replies to one request, except those that the publisher's socket dropped. @throws ReplayError */
async function* repliesTo(
  endpoint: string,
  fromSeq: number,
  signal: AbortSignal,
  commons: PeerCommons,
): AsyncGenerator<KvFrames, void, void> {
  const replies = new Replies(endpoint, fromSeq, signal, commons);
  try {
    for (;;) {
      const reply = readReplayReply(await replies.next());
      if (reply?.kind === 'end') return;
      if (reply !== null) yield reply;
    }
  } finally {
    replies.close();
  }
}

/** One connection with one request. The next message is read after the previous one was taken. */
class Replies {
  readonly #endpoint: string;
  readonly #fromSeq: number;
  readonly #signal: AbortSignal;
  readonly #commons: PeerCommons;
  #giveUp: () => void = () => undefined;
  #redial: NodeJS.Timeout | undefined;
  readonly #onAbort = (): void => this.#fail('it takes too long, or is no longer needed');
  #peer: ZmtpPeer | null = null;
  #message: readonly Uint8Array[] | null = null;
  /** Allows the next message to be read. */
  #taken: (() => void) | null = null;
  #failure: string | null = null;
  /** Why there is no connection. */
  #unreachable: string | null = null;
  #wake: (() => void) | null = null;

  constructor(endpoint: string, fromSeq: number, signal: AbortSignal, commons: PeerCommons) {
    this.#endpoint = endpoint;
    this.#fromSeq = fromSeq;
    this.#signal = signal;
    this.#commons = commons;
    signal.addEventListener('abort', this.#onAbort, { once: true });
    if (signal.aborted) this.#onAbort();
    this.#dial();
  }

  /** Redials while an answer is awaited: a starting engine may open this address last. */
  #dial(): void {
    if (this.#failure !== null) return;
    const place = readSocketPlace(this.#endpoint);
    this.#giveUp = dial(
      place,
      (socket) => this.#connected(socket),
      (reason) => {
        if (typeof place === 'string') return this.#fail(reason);
        this.#unreachable = reason;
        this.#redial = setTimeout(() => this.#dial(), redialMs);
      },
    );
  }

  /** @throws ReplayError */
  async next(): Promise<readonly Uint8Array[]> {
    this.#taken?.();
    this.#taken = null;
    if (this.#message === null && this.#failure === null) {
      const timer = setTimeout(() => this.#fail(this.#unreachable ?? `no answer within ${replyMsMax} ms`), replyMsMax);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      clearTimeout(timer);
    }
    const message = this.#message;
    if (message === null) throw new ReplayError(`${this.#endpoint} does not replay: ${this.#failure}`);
    this.#message = null;
    return message;
  }

  close(): void {
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#failure ??= 'closed';
    clearTimeout(this.#redial);
    this.#giveUp();
    this.#taken?.();
    this.#peer?.destroy();
  }

  #connected(socket: Socket): void {
    this.#unreachable = null;
    const listener = {
      ready: () => this.#peer!.send(writeReplayRequest(this.#fromSeq)),
      message: (frames: readonly Uint8Array[]) => this.#arrived(frames),
      ended: (reason: string | null) => this.#fail(reason ?? 'it closed the connection'),
    };
    this.#peer = new ZmtpPeer(socket, 'DEALER', listener, this.#commons);
  }

  #arrived(frames: readonly Uint8Array[]): Promise<void> {
    this.#message = frames;
    const taken = new Promise<void>((resolve) => {
      this.#taken = resolve;
    });
    this.#wake?.();
    return taken;
  }

  #fail(reason: string): void {
    this.#failure ??= reason;
    this.#wake?.();
  }
}

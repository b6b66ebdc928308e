// Publishes an engine's KV events over ZMQ: one batch per step, numbered from 0, with replay of kept batches.

import { setTimeout as sleep } from 'node:timers/promises';
import { Publisher, Router } from 'zeromq';
import type { KvEvent } from '../core/types.ts';
import {
  encodeKvBatch,
  type HashForm,
  type KvEventsFormat,
  readReplayRequest,
  writeKvFrames,
  writeReplayEnd,
} from '../wire/kv-events.ts';
import { BatchRing } from './batch-ring.ts';

/** Batches that ZMQ queues for a slow subscriber; further ones are lost for it. vLLM's default. */
export const highWaterMark = 100_000;
/** Attempts to bind: the port of a publisher that was just closed becomes free a moment later. */
const bindAttemptsMax = 50;
const bindRetryMs = 20;
/** Send timeout of a replay, so that a client that does not read can't block the others. */
const replaySendMs = 2000;

/** Fault injected into a batch, for tests of subscribers. Replays always contain the batch. */
export type PublishFault = 'none' | 'drop' | 'twice' | { readonly delayMs: number };

export interface KvPublisherOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Connect to this address, where a subscriber has bound, instead of binding. */
  readonly connect: string | null;
  readonly topic: string;
  readonly format: KvEventsFormat;
  readonly hashes: HashForm;
  /** Null: no replay socket. `legacy`: replies have no topic. */
  readonly replay: 'topic' | 'legacy' | null;
  /** 0: any free port. */
  readonly replayPort: number;
  /** Batches kept for replays. */
  readonly bufferSteps: number;
  readonly fault?: (seq: number, events: readonly KvEvent[]) => PublishFault;
}

export class KvPublisher {
  readonly options: KvPublisherOptions;
  /** Address that was bound or connected to. */
  readonly endpoint: string;
  readonly replayEndpoint: string | null;
  readonly #socket: Publisher;
  readonly #replay: Router | null;
  readonly #ring: BatchRing;
  #seq = 0;
  /** Chain of sends, because a ZMQ socket accepts one at a time. */
  #sending: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(options: KvPublisherOptions, socket: Publisher, replay: Router | null) {
    this.options = options;
    this.endpoint = options.connect ?? lastEndpoint(socket);
    this.replayEndpoint = replay === null ? null : lastEndpoint(replay);
    this.#socket = socket;
    this.#replay = replay;
    this.#ring = new BatchRing(options.bufferSteps);
  }

  /** @throws Error naming an address that is not available */
  static async open(options: KvPublisherOptions): Promise<KvPublisher> {
    const { host, port, connect, replay, replayPort } = options;
    const socket = new Publisher({ sendHighWaterMark: highWaterMark, linger: 0, reconnectInterval: bindRetryMs });
    const router = replay === null ? null : new Router({ linger: 0, sendTimeout: replaySendMs, mandatory: true });
    try {
      if (connect === null) await bind(socket, host, port);
      else socket.connect(connect);
      if (router !== null) await bind(router, host, replayPort);
    } catch (error) {
      socket.close();
      router?.close();
      throw error;
    }
    const publisher = new KvPublisher(options, socket, router);
    if (router !== null) void publisher.#serveReplays(router);
    return publisher;
  }

  get port(): number | null {
    return this.options.connect === null ? portOf(this.endpoint) : null;
  }

  get replayPort(): number | null {
    return this.replayEndpoint === null ? null : portOf(this.replayEndpoint);
  }

  /** Number of the next batch. */
  get nextSeq(): number {
    return this.#seq;
  }

  /** @param timestampS Unix time in seconds */
  publish(timestampS: number, events: readonly KvEvent[]): void {
    const { topic, format, hashes, fault } = this.options;
    const seq = this.#seq++;
    const payload = encodeKvBatch(timestampS, 0, events, format, hashes);
    this.#ring.add(seq, payload);
    const frames = writeKvFrames(topic, seq, payload);
    const fate = fault?.(seq, events) ?? 'none';
    if (fate === 'drop') return;
    this.#sending = this.#sending.then(async () => {
      if (typeof fate === 'object') await sleep(fate.delayMs);
      await this.#send(frames);
      if (fate === 'twice') await this.#send(frames);
    });
  }

  async #send(frames: readonly (string | Uint8Array)[]): Promise<void> {
    if (this.#closed) return;
    try {
      await this.#socket.send([...frames]);
    } catch (error) {
      // A send was pending when the socket closed.
      if (!this.#closed) throw error;
    }
  }

  async #serveReplays(router: Router): Promise<void> {
    const { topic, replay } = this.options;
    const withTopic = replay === 'topic';
    for await (const frames of router) {
      const request = readReplayRequest(frames);
      if (request === null) continue;
      const front = [request.identity, ''];
      try {
        for (const { seq, payload } of this.#ring.from(request.fromSeq)) {
          await router.send([...front, ...writeKvFrames(topic, seq, payload).slice(withTopic ? 0 : 1)]);
        }
        await router.send([...front, ...writeReplayEnd(withTopic)]);
      } catch (error) {
        // The client is gone or does not read.
        const { code } = error as NodeJS.ErrnoException;
        if (!this.#closed && code !== 'EAGAIN' && code !== 'EHOSTUNREACH') throw error;
      }
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
    this.#replay?.close();
  }
}

async function bind(socket: Publisher | Router, host: string, port: number): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await socket.bind(`tcp://${host}:${port === 0 ? '*' : port}`);
      return;
    } catch (error) {
      const inUse = (error as { code?: string }).code === 'EADDRINUSE';
      if (!inUse || attempt === bindAttemptsMax) {
        throw new Error(`no KV event publisher on ${host}:${port}: ${(error as Error).message}`, { cause: error });
      }
      await sleep(bindRetryMs);
    }
  }
}

function lastEndpoint(socket: Publisher | Router): string {
  const endpoint = socket.lastEndpoint;
  if (endpoint === null) throw new Error('a bound ZMQ socket has an endpoint');
  return endpoint;
}

function portOf(endpoint: string): number {
  return Number(/:(\d+)$/.exec(endpoint)?.[1]);
}

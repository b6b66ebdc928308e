// A feed's connection to its publisher: the interface, and the outgoing kind, which redials after every failure.

import { writeSubscription } from '../../wire/zmtp.ts';
import type { FeedAddress } from './feed-address.ts';
import { dial, readSocketPlace } from './socket-place.ts';
import { type PeerCommons, ZmtpPeer } from './zmtp-peer.ts';

const redialMsMin = 100;
const redialMsMax = 1000;
/** After a protocol error, which the peer would repeat. */
const faultPauseMs = 5000;

export interface ConnectionListener {
  /** A publisher has connected or reconnected. */
  connected(): void;
  /** The last publisher has disconnected. */
  disconnected?(): void;
  message(frames: readonly Uint8Array[]): Promise<void>;
}

export interface FeedConnection {
  /** Publishers connected now. */
  readonly publishers: number;
  /** How many times the last publisher has disconnected. */
  readonly disconnects: number;
  /** Why our end can't be opened, or null. */
  readonly error: string | null;
  /** Why no publisher is connected, if known, or null. */
  readonly failure: string | null;
  open(): void;
  /** Drops the current connections; they are made again. */
  renew(): void;
  close(): void;
}

export class OutgoingConnection implements FeedConnection {
  readonly error: string | null;
  readonly #address: FeedAddress;
  readonly #listener: ConnectionListener;
  readonly #commons: PeerCommons;
  #peer: ZmtpPeer | null = null;
  #giveUp: (() => void) | null = null;
  #redial: NodeJS.Timeout | undefined;
  #redialMs = redialMsMin;
  #disconnects = 0;
  #failure: string | null = null;
  #isClosed = false;

  constructor(address: FeedAddress, listener: ConnectionListener, commons: PeerCommons) {
    this.#address = address;
    this.#listener = listener;
    this.#commons = commons;
    const place = readSocketPlace(address.endpoint);
    this.error = typeof place === 'string' ? place : null;
  }

  get publishers(): number {
    return this.#peer?.isReady === true ? 1 : 0;
  }

  get disconnects(): number {
    return this.#disconnects;
  }

  get failure(): string | null {
    return this.publishers > 0 ? null : this.#failure;
  }

  open(): void {
    if (this.error !== null || this.#isClosed) return;
    const place = readSocketPlace(this.#address.endpoint);
    this.#giveUp = dial(
      place,
      (socket) => {
        this.#giveUp = null;
        let wasReady = false;
        const peer = new ZmtpPeer(
          socket,
          'SUB',
          {
            ready: () => {
              wasReady = true;
              this.#redialMs = redialMsMin;
              peer.write(writeSubscription(this.#address.topic, true));
              this.#listener.connected();
            },
            message: (frames) => this.#listener.message(frames),
            ended: (reason) => this.#ended(reason, wasReady),
          },
          this.#commons,
        );
        this.#peer = peer;
      },
      (reason) => this.#again(reason, this.#redialMs),
    );
  }

  renew(): void {
    this.#peer?.destroy();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#redial);
    this.#giveUp?.();
    this.#peer?.destroy();
  }

  #ended(reason: string | null, wasReady: boolean): void {
    this.#peer = null;
    if (wasReady && !this.#isClosed) {
      this.#disconnects += 1;
      this.#listener.disconnected?.();
    }
    const isFault = reason !== null && !/^(read|write) E[A-Z]+$/.test(reason);
    this.#again(reason ?? 'it closed the connection', isFault ? faultPauseMs : this.#redialMs);
  }

  #again(reason: string, pauseMs: number): void {
    this.#failure = reason;
    if (this.#isClosed) return;
    this.#redialMs = Math.min(2 * this.#redialMs, redialMsMax);
    this.#redial = setTimeout(() => this.open(), pauseMs);
  }
}

// A listening address that several feeds can share; the topic of a message selects its feed.

import { unlinkSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { writeSubscription } from '../../wire/zmtp.ts';
import type { PeerGate } from './peer-gate.ts';
import { dial, listenOptions, readSocketPlace, type SocketPlace } from './socket-place.ts';
import { type PeerCommons, ZmtpPeer } from './zmtp-peer.ts';

const rebindMs = 1000;
/** Error when another process, or another socket of this one, holds the address. */
export const addressInUse = 'the address is in use';
/** Open connections per address; further ones are closed at once. */
export const publishersMax = 8192;

/** One feed at the address, or one that waits until another feed with its topic has left. */
export interface Seat {
  readonly topic: string;
  /** A publisher that may be this feed's has connected. Its feed is unknown until its first message. */
  connected(): void;
  disconnected(): void;
  /** @returns a promise if the connection must not be read until it resolves */
  message(frames: readonly Uint8Array[]): Promise<void> | undefined;
}

/** A feed at the address, and what is known about its publishers. */
interface Place {
  readonly seat: Seat;
  readonly topic: Buffer;
  /** Connections that have sent it a message. */
  heard: number;
  /** Whether the seat was last told that it has a publisher. */
  isUp: boolean;
  /** Value of `#connectionCount` when `connected` was last called. */
  toldAt: number;
}

/** One connection to the address. */
interface Publisher {
  readonly peer: ZmtpPeer;
  /** Serial number of the connection, from 1; 0 before the handshake. */
  number: number;
  /** Feeds that it has sent messages to. */
  readonly heardBy: Set<Place>;
  /** Topic of its last message, and the feed of that topic; null: none, or unknown since the feeds changed. */
  topic: Buffer;
  place: Place | null;
}

export class BoundEndpoint {
  readonly #endpoint: string;
  readonly #commons: PeerCommons;
  readonly #gate: PeerGate;
  /** Longest topic first, so that the longest matching prefix wins. */
  #places: readonly Place[] = [];
  /** Feeds whose topic another feed has, in the order of joining. */
  #waiting: readonly Seat[] = [];
  readonly #publishers = new Set<Publisher>();
  /** Connections after the handshake: those open, those open that have sent no feed a message, all ever made. */
  #readyCount = 0;
  #quietCount = 0;
  #connectionCount = 0;
  #unheardPlaces = 0;
  #server: Server | null = null;
  #rebind: NodeJS.Timeout | undefined;
  #isClosed = false;
  #error: string | null = null;
  #refused = 0;

  constructor(endpoint: string, commons: PeerCommons, gate: PeerGate) {
    this.#endpoint = endpoint;
    this.#commons = commons;
    this.#gate = gate;
    this.#bind();
  }

  /** Why the address can't be opened, or null. Opening is retried. */
  get error(): string | null {
    return this.#error;
  }

  get feeds(): number {
    return this.#places.length;
  }

  /** Refused connections: the peer's address is not allowed, or `publishersMax` was reached. */
  get refused(): number {
    return this.#refused;
  }

  publishersOf(seat: Seat): number {
    const place = this.#placeOf(seat);
    return place === undefined ? 0 : this.#countOf(place);
  }

  /** Whether a feed waits because another one has its topic: their messages could not be told apart. */
  isWaiting(seat: Seat): boolean {
    return this.#waiting.includes(seat);
  }

  join(seat: Seat): void {
    if (this.#places.some(({ seat: { topic } }) => topic === seat.topic)) {
      this.#waiting = [...this.#waiting, seat];
      return;
    }
    const place: Place = { seat, topic: Buffer.from(seat.topic), heard: 0, isUp: false, toldAt: 0 };
    this.#places = [...this.#places, place].sort((a, b) => b.topic.length - a.topic.length);
    this.#unheardPlaces += 1;
    for (const publisher of this.#publishers) {
      publisher.place = null;
      if (publisher.number > 0) publisher.peer.write(writeSubscription(seat.topic, true));
    }
    this.#review(false);
  }

  /** A feed that waits for this one's topic takes its place. */
  leave(seat: Seat): void {
    this.#waiting = this.#waiting.filter((one) => one !== seat);
    const place = this.#placeOf(seat);
    if (place === undefined) return;
    this.#places = this.#places.filter((one) => one !== place);
    if (place.heard === 0) this.#unheardPlaces -= 1;
    for (const publisher of this.#publishers) {
      publisher.place = null;
      if (publisher.heardBy.delete(place) && publisher.heardBy.size === 0) this.#quietCount += 1;
      if (publisher.number > 0) publisher.peer.write(writeSubscription(seat.topic, false));
    }
    this.#review(false);
    const next = this.#waiting.find(({ topic }) => topic === seat.topic);
    if (next === undefined) return;
    this.#waiting = this.#waiting.filter((one) => one !== next);
    this.join(next);
  }

  /** Closes this seat's publisher connections, so that the publishers reconnect. */
  renew(seat: Seat): void {
    const place = this.#placeOf(seat);
    if (place === undefined) return;
    for (const { peer, heardBy } of [...this.#publishers]) if (heardBy.has(place)) peer.destroy();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#rebind);
    this.#server?.close();
    for (const { peer } of [...this.#publishers]) peer.destroy();
  }

  #placeOf(seat: Seat): Place | undefined {
    return this.#places.find((one) => one.seat === seat);
  }

  /**
   * Number of publishers of a feed. A publisher's feed is known once it has sent a message. The others could belong to
   * any feed, so they count only if there is one for every feed without a known publisher. A feed with an empty topic
   * counts every publisher that no other feed accounts for.
   */
  #countOf({ heard, seat }: Place): number {
    if (seat.topic === '') {
      const elsewhere = this.#places.reduce((sum, one) => sum + (one.seat === seat ? 0 : Math.max(1, one.heard)), 0);
      return this.#readyCount === 0 ? 0 : Math.max(1, heard, this.#readyCount - elsewhere);
    }
    if (heard > 0) return heard;
    return this.#quietCount > 0 && this.#quietCount >= this.#unheardPlaces ? 1 : 0;
  }

  /** Notifies feeds that gained their first publisher or lost their last one. */
  #review(hasGone: boolean): void {
    for (const place of this.#places) {
      const isUp = this.#countOf(place) > 0;
      if (isUp === place.isUp) continue;
      place.isUp = isUp;
      if (isUp) this.#tell(place);
      else if (hasGone) place.seat.disconnected();
    }
  }

  #tell(place: Place): void {
    place.toldAt = this.#connectionCount;
    place.seat.connected();
  }

  #bind(): void {
    const place = readSocketPlace(this.#endpoint);
    if (typeof place === 'string') {
      this.#error = place;
      return;
    }
    try {
      const server = createServer((socket) => this.#accept(socket));
      server.on('error', (error) => this.#failed(error, place));
      server.on('listening', () => {
        this.#error = null;
      });
      this.#server = server;
      server.listen(listenOptions(place));
    } catch (error) {
      this.#failed(error as Error, place);
    }
  }

  #failed(error: NodeJS.ErrnoException, place: SocketPlace): void {
    if (this.#isClosed) return;
    this.#error = error.code === 'EADDRINUSE' ? addressInUse : error.message;
    clearTimeout(this.#rebind);
    this.#rebind = setTimeout(() => this.#bind(), rebindMs);
    if (place.kind === 'ipc' && error.code === 'EADDRINUSE') removeIfDead(place);
  }

  #accept(socket: Socket): void {
    if (this.#isClosed || this.#publishers.size >= publishersMax || !this.#gate.admits(socket.remoteAddress)) {
      this.#refused += 1;
      this.#gate.refused(this.#endpoint, socket.remoteAddress);
      socket.on('error', () => undefined);
      socket.destroy();
      return;
    }
    const listener = {
      ready: () => this.#connected(publisher),
      message: (frames: readonly Buffer[]) => this.#dispatch(publisher, frames),
      ended: () => this.#disconnected(publisher),
    };
    const peer = new ZmtpPeer(socket, 'SUB', listener, this.#commons);
    const publisher: Publisher = { peer, number: 0, heardBy: new Set(), topic: noTopic, place: null };
    this.#publishers.add(publisher);
  }

  #connected(publisher: Publisher): void {
    this.#connectionCount += 1;
    this.#readyCount += 1;
    this.#quietCount += 1;
    publisher.number = this.#connectionCount;
    for (const { seat } of this.#places) publisher.peer.write(writeSubscription(seat.topic, true));
    // A feed with an empty topic may receive messages from any publisher.
    for (const place of this.#places) if (place.isUp && place.seat.topic === '') this.#tell(place);
    this.#review(false);
  }

  #disconnected(publisher: Publisher): void {
    this.#publishers.delete(publisher);
    if (publisher.number === 0) return;
    this.#readyCount -= 1;
    if (publisher.heardBy.size === 0) this.#quietCount -= 1;
    for (const place of publisher.heardBy) {
      place.heard -= 1;
      if (place.heard === 0) this.#unheardPlaces += 1;
    }
    this.#review(true);
  }

  #dispatch(publisher: Publisher, message: readonly Buffer[]): Promise<void> | undefined {
    const topic = message[0]!;
    if (publisher.place === null || !publisher.topic.equals(topic)) {
      publisher.topic = Buffer.from(topic);
      publisher.place = this.#find(topic);
      if (publisher.place !== null && !publisher.heardBy.has(publisher.place)) this.#hears(publisher.place, publisher);
    }
    return publisher.place?.seat.message(message);
  }

  #hears(place: Place, publisher: Publisher): void {
    if (publisher.heardBy.size === 0) this.#quietCount -= 1;
    publisher.heardBy.add(place);
    if (place.heard === 0) this.#unheardPlaces -= 1;
    place.heard += 1;
    // The feed has not been told about this connection.
    if (!place.isUp || place.toldAt < publisher.number) {
      place.isUp = true;
      this.#tell(place);
    }
    this.#review(false);
  }

  /** O(feeds) */
  #find(topic: Buffer): Place | null {
    return this.#places.find((one) => topic.subarray(0, one.topic.length).equals(one.topic)) ?? null;
  }
}

const noTopic = Buffer.alloc(0);

/** Removes a Unix socket file that no process listens on, as a killed process leaves it. */
function removeIfDead(place: Extract<SocketPlace, { kind: 'ipc' }>): void {
  dial(
    place,
    (socket) => socket.destroy(),
    (reason) => {
      try {
        if (reason === 'ECONNREFUSED') unlinkSync(place.path);
      } catch {
        // The address stays in use, and `error` says so.
      }
    },
  );
}

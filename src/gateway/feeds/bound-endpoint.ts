// One address that publishers connect to: a single listener for all feeds there, which their topics tell apart.

import { unlinkSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { writeSubscription } from '../../wire/zmtp.ts';
import type { PeerGate } from './peer-gate.ts';
import { dial, listenOptions, readSocketPlace, type SocketPlace } from './socket-place.ts';
import { type PeerCommons, ZmtpPeer } from './zmtp-peer.ts';

const rebindMs = 1000;
/** The error of an address that another process has, or another socket of this one. */
export const addressInUse = 'the address is in use';
/** Connections at one address; further ones are closed at once. */
export const publishersMax = 8192;

/** One feed's place at the address. */
export interface Seat {
  readonly topic: string;
  /** A publisher has connected that may be this feed's: until it has said something nobody can tell whose it is. */
  connected(): void;
  disconnected(): void;
  /** A promise: its connection has to wait until then. */
  message(frames: readonly Uint8Array[]): Promise<void> | undefined;
}

/** A feed at the address, with what is known of its publishers. */
interface Place {
  readonly seat: Seat;
  readonly topic: Buffer;
  /** Connections that have sent something for it. */
  heard: number;
  /** As it was told last. */
  isUp: boolean;
  /** How many connections there had been when it was told. */
  toldAt: number;
}

/** One connection to the address. */
interface Publisher {
  readonly peer: ZmtpPeer;
  /** Which connection it is, counted from 1; 0 before the handshake. */
  number: number;
  /** The feeds that its messages were for. */
  readonly heardBy: Set<Place>;
  /** Of its last message; `place` null: not known any more. */
  topic: Buffer;
  place: Place | null;
}

export class BoundEndpoint {
  readonly #endpoint: string;
  readonly #commons: PeerCommons;
  readonly #gate: PeerGate;
  /** Longest topic first: the first that a message's topic begins with has it. */
  #places: readonly Place[] = [];
  readonly #publishers = new Set<Publisher>();
  /** Connections with a handshake, now; of these, those that have said nothing yet; all that there ever were. */
  #readyCount = 0;
  #silentCount = 0;
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

  /** Why the address can't be opened, or null; it is tried again. */
  get error(): string | null {
    return this.#error;
  }

  get feeds(): number {
    return this.#places.length;
  }

  /** Connections closed at once: from addresses that may not connect, or too many. */
  get refused(): number {
    return this.#refused;
  }

  publishersOf(seat: Seat): number {
    const place = this.#placeOf(seat);
    return place === undefined ? 0 : this.#countOf(place);
  }

  /** @returns false if another feed has that topic here: nothing would tell them apart */
  join(seat: Seat): boolean {
    if (this.#places.some(({ seat: { topic } }) => topic === seat.topic)) return false;
    const place: Place = { seat, topic: Buffer.from(seat.topic), heard: 0, isUp: false, toldAt: 0 };
    this.#places = [...this.#places, place].sort((a, b) => b.topic.length - a.topic.length);
    this.#unheardPlaces += 1;
    for (const publisher of this.#publishers) {
      publisher.place = null;
      if (publisher.number > 0) publisher.peer.write(writeSubscription(seat.topic, true));
    }
    this.#review(false);
    return true;
  }

  leave(seat: Seat): void {
    const place = this.#placeOf(seat);
    if (place === undefined) return;
    this.#places = this.#places.filter((one) => one !== place);
    if (place.heard === 0) this.#unheardPlaces -= 1;
    for (const publisher of this.#publishers) {
      publisher.place = null;
      if (publisher.heardBy.delete(place) && publisher.heardBy.size === 0) this.#silentCount += 1;
      if (publisher.number > 0) publisher.peer.write(writeSubscription(seat.topic, false));
    }
    this.#review(false);
  }

  /** Closes the connections of this seat's publishers; they connect again. */
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
   * Publishers of a feed. One that has said something is known by it. Of the others each may be anybody's, so they
   * count only where there is one for every feed that has heard nobody yet. A feed without a topic hears everyone that
   * no other feed accounts for.
   */
  #countOf({ heard, seat }: Place): number {
    if (seat.topic === '') {
      const elsewhere = this.#places.reduce((sum, one) => sum + (one.seat === seat ? 0 : Math.max(1, one.heard)), 0);
      return this.#readyCount === 0 ? 0 : Math.max(1, heard, this.#readyCount - elsewhere);
    }
    if (heard > 0) return heard;
    return this.#silentCount > 0 && this.#silentCount >= this.#unheardPlaces ? 1 : 0;
  }

  /** Tells feeds that have a publisher now and had none, and those that have none any more. */
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
    this.#silentCount += 1;
    publisher.number = this.#connectionCount;
    for (const { seat } of this.#places) publisher.peer.write(writeSubscription(seat.topic, true));
    // A feed without a topic may hear any of them.
    for (const place of this.#places) if (place.isUp && place.seat.topic === '') this.#tell(place);
    this.#review(false);
  }

  #disconnected(publisher: Publisher): void {
    this.#publishers.delete(publisher);
    if (publisher.number === 0) return;
    this.#readyCount -= 1;
    if (publisher.heardBy.size === 0) this.#silentCount -= 1;
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
    if (publisher.heardBy.size === 0) this.#silentCount -= 1;
    publisher.heardBy.add(place);
    if (place.heard === 0) this.#unheardPlaces -= 1;
    place.heard += 1;
    // It has not been told of this connection, or not that it may be its own.
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

/** The file of a socket that nobody listens at any more, as a process that was killed leaves it. */
function removeIfDead(place: Extract<SocketPlace, { kind: 'ipc' }>): void {
  dial(
    place,
    (socket) => socket.destroy(),
    (reason) => {
      try {
        if (reason === 'ECONNREFUSED') unlinkSync(place.path);
      } catch {
        // It stays in use, and the error says so.
      }
    },
  );
}

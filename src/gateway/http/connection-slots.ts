// Limits client connections and chooses which to close when all slots are taken.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { hasBody } from '../exchange/request-body.ts';
import { clientOf } from './client-address.ts';
import { UnprovenClients } from './unproven-clients.ts';

/**
 * Minimum age of a connection that is closed to make room, since its request may be about to arrive. Waived if the new
 * client has fewer connections.
 */
const graceMs = 1000;
/** Requests pipelined on one connection. */
const pipelinedRequestsMax = 32;
/** Stands for the address of those that connect to a unix socket. */
const unixClient = 'unix';

export interface SlotSettings {
  readonly connectionsMax: number;
  readonly unprovenPerAddressMax: number;
  /** All connections come over a unix socket, and so from one address. */
  readonly unix: boolean;
  /** Trusted proxies are never closed to make room: they carry many clients. */
  isTrusted(remoteAddress: string): boolean;
}

export type SlotLimit = 'connectionsMax' | 'unprovenPerAddressMax' | 'pipelinedRequestsMax';

/** `unproven`: no request was admitted yet. `idle`: no request is in flight. `busy`: one is. */
export type SlotState = 'unproven' | 'idle' | 'busy';

/** A connection's slot, from its acceptance until its socket closes. */
interface Slot {
  readonly socket: Socket;
  /** Addresses and ports of both ends: the same for a socket and the TLS socket on top of it. Unix sockets: a number. */
  readonly ends: string;
  readonly client: string;
  readonly trusted: boolean;
  readonly acceptedMs: number;
  state: SlotState;
  /** Time of the last state change. */
  sinceMs: number;
  /** A request is being answered. */
  answering: boolean;
  /** Pipelined requests, answered in order. */
  readonly waiting: (() => void)[];
  /** The connection closes after the requests in `waiting`. */
  closing: boolean;
  /** Its request goes on as long as its client likes. */
  lasting: boolean;
}

export class ConnectionSlots {
  readonly #settings: () => SlotSettings;
  readonly #onLimit: (limit: SlotLimit) => void;
  readonly #nowMs: () => number;
  /** By `ends`. */
  readonly #slots = new Map<string, Slot>();
  #nextSocket = 0;
  readonly #bySocket = new WeakMap<Socket, Slot>();
  readonly #unproven = new UnprovenClients<Slot>();
  /** Longest idle first. */
  readonly #idle = new Set<Slot>();

  /** @param nowMs a monotonic clock */
  constructor(settings: () => SlotSettings, onLimit: (limit: SlotLimit) => void, nowMs: () => number) {
    this.#settings = settings;
    this.#onLimit = onLimit;
    this.#nowMs = nowMs;
  }

  counts(): Readonly<Record<SlotState, number>> {
    const counts = { unproven: 0, idle: 0, busy: 0 };
    for (const { state } of this.#slots.values()) counts[state] += 1;
    return counts;
  }

  get empty(): boolean {
    return this.#slots.size === 0;
  }

  /**
   * Gives a new connection a slot, closing another one if necessary.
   * @returns false if the new one was closed instead
   */
  admit(socket: Socket): boolean {
    const settings = this.#settings();
    const remoteAddress = settings.unix ? unixClient : socket.remoteAddress;
    // Already disconnected.
    if (remoteAddress === undefined || socket.destroyed) return refuse(socket);
    const client = settings.unix ? unixClient : clientOf(remoteAddress);
    if (!this.#makeRoom(client, settings)) return refuse(socket);
    const slot: Slot = {
      socket,
      ends: settings.unix ? `${unixClient} ${this.#nextSocket++}` : endsOf(socket),
      client,
      trusted: settings.isTrusted(remoteAddress),
      acceptedMs: this.#nowMs(),
      state: 'unproven',
      sinceMs: this.#nowMs(),
      answering: false,
      waiting: [],
      closing: false,
      lasting: false,
    };
    this.#slots.set(slot.ends, slot);
    // There is no TLS on a unix socket, so requests come with this very socket.
    if (settings.unix) this.#bySocket.set(socket, slot);
    if (!slot.trusted) this.#unproven.add(client, slot);
    socket.once('close', () => this.#leave(slot));
    return true;
  }

  /**
   * Answers a request after those before it on the same connection. A pipelined request with a body is never answered,
   * as HTTP allows, and the connection is closed: its body would have to be buffered, or would keep the gateway from
   * noticing that the client left.
   * @param answer starts the answer
   */
  answerInTurn(request: IncomingMessage, response: ServerResponse, answer: () => void): void {
    const slot = this.#find(request.socket);
    if (slot === null) {
      request.socket.destroy();
      return;
    }
    if (slot.closing || (slot.answering && hasBody(request))) {
      slot.closing = true;
      request.resume();
      return;
    }
    const begin = (): void => {
      slot.answering = true;
      if (slot.state === 'idle') this.#enter(slot, 'busy');
      response.once('close', () => this.#answered(slot, request.socket));
      answer();
    };
    if (!slot.answering) begin();
    else if (slot.waiting.length < pipelinedRequestsMax) slot.waiting.push(begin);
    else {
      this.#onLimit('pipelinedRequestsMax');
      slot.socket.destroy();
    }
  }

  /** Marks a request as admitted. Its connection is proven once the whole request has arrived. */
  letIn(request: IncomingMessage): void {
    const slot = this.#find(request.socket);
    if (slot?.state !== 'unproven') return;
    if (hasBody(request)) request.once('end', () => this.#enter(slot, 'busy'));
    else this.#enter(slot, 'busy');
  }

  /** Like `letIn`, for a request that goes on as long as its client likes: it need not arrive in time. */
  letLast(request: IncomingMessage): void {
    const slot = this.#find(request.socket);
    if (slot === null) return;
    slot.lasting = true;
    if (slot.state === 'unproven') this.#enter(slot, 'busy');
  }

  lasts(socket: Socket): boolean {
    return this.#find(socket)?.lasting ?? false;
  }

  /** When the connection was accepted; null: it has left. @param socket the TLS socket, if there is one */
  acceptedMs(socket: Socket): number | null {
    return this.#find(socket)?.acceptedMs ?? null;
  }

  /** Closes connections that have never sent anything. */
  closeSilent(): void {
    for (const { socket } of this.#slots.values()) if (socket.bytesRead === 0) socket.destroy();
  }

  closeAll(): void {
    for (const { socket } of this.#slots.values()) socket.destroy();
  }

  #find(socket: Socket): Slot | null {
    const found = this.#bySocket.get(socket) ?? this.#slots.get(endsOf(socket)) ?? null;
    if (found !== null) this.#bySocket.set(socket, found);
    return found;
  }

  /** @param socket the TLS socket, if there is one */
  #answered(slot: Slot, socket: Socket): void {
    slot.answering = false;
    if (slot.socket.destroyed) {
      slot.waiting.length = 0;
      return;
    }
    if (slot.state === 'busy') this.#enter(slot, 'idle');
    const next = slot.waiting.shift();
    if (next !== undefined) next();
    else if (slot.closing) socket.destroySoon();
  }

  #enter(slot: Slot, state: SlotState): void {
    this.#forget(slot);
    slot.state = state;
    slot.sinceMs = this.#nowMs();
    if (state === 'idle' && !slot.trusted) this.#idle.add(slot);
  }

  #leave(slot: Slot): void {
    this.#forget(slot);
    if (this.#slots.get(slot.ends) === slot) this.#slots.delete(slot.ends);
  }

  #forget(slot: Slot): void {
    this.#unproven.remove(slot.client, slot);
    this.#idle.delete(slot);
  }

  #makeRoom(client: string, { connectionsMax, unprovenPerAddressMax }: SlotSettings): boolean {
    if (this.#unproven.countOf(client) >= unprovenPerAddressMax) {
      this.#onLimit('unprovenPerAddressMax');
      if (!this.#close(this.#unproven.oldestOf(client), graceMs)) return false;
    }
    if (this.#slots.size < connectionsMax) return true;
    this.#onLimit('connectionsMax');
    const hasFewer = this.#unproven.countOf(client) + 1 < this.#unproven.most;
    return (
      this.#close(this.#unproven.oldestOfMost(), hasFewer ? 0 : graceMs) ||
      this.#close(this.#idle.values().next().value ?? null, graceMs)
    );
  }

  /** @returns false if there is no slot, or it is younger than `ageMs` */
  #close(slot: Slot | null, ageMs: number): boolean {
    if (slot === null || this.#nowMs() - slot.sinceMs < ageMs) return false;
    this.#leave(slot);
    slot.socket.destroy();
    return true;
  }
}

function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

function refuse(socket: Socket): false {
  socket.destroy();
  return false;
}

// One connection to a ZeroMQ socket: the handshake, then messages one by one, within limits on bytes and time.
//
// Implemented here because libzmq can't bound a message of many frames, hold back a publisher by bytes, tell who
// connects or open thousands of sockets. No ZMTP heartbeat is sent, since some publishers never answer one; TCP
// keepalive finds a peer that has vanished.

import type { Socket } from 'node:net';
import { payloadBytesMax } from '../../wire/kv-events.ts';
import { greetingFault, readCommand, writeGreeting, writeMessage, writePong, writeReady } from '../../wire/zmtp.ts';
import { type ZmtpItem, ZmtpReader } from '../../wire/zmtp-reader.ts';
import type { IntakeBudget } from './intake-budget.ts';
import { connectionBytesMax, type WaitingBytes } from './waiting-bytes.ts';

/** Idle time before TCP keepalive probes; libuv then sends ten, one a second. */
const keepAliveMs = 10_000;
/** From the connection to the end of the handshake. */
const handshakeMsMax = 10_000;
/** From the first byte of a message to its last. */
const messageMsMax = 60_000;
/** Output that the peer has not read. */
const unreadBytesMax = 65_536;
/** Frames per message: three in a batch, up to five in a reply. */
const framesMax = 8;
/** Besides the payload: topic, number, routing. */
const headBytesMax = 65_536;

export const messageLimits = {
  frameBytesMax: payloadBytesMax,
  messageBytesMax: payloadBytesMax + headBytesMax,
  framesMax,
} as const;

/** Peer socket types that each of our types accepts. */
const partners = { SUB: ['PUB', 'XPUB'], DEALER: ['ROUTER', 'DEALER', 'REP'] } as const;

export interface PeerListener {
  /** The handshake is done. */
  ready(): void;
  /** The next message follows when the returned promise resolves. */
  message(frames: readonly Buffer[]): Promise<void> | void;
  /** Called once. `reason`: what went wrong; null: the connection was closed normally. */
  ended(reason: string | null): void;
}

export interface PeerCommons {
  readonly budget: IntakeBudget;
  readonly waiting: WaitingBytes;
}

export class ZmtpPeer {
  readonly #socket: Socket;
  readonly #type: 'SUB' | 'DEALER';
  readonly #listener: PeerListener;
  readonly #budget: IntakeBudget;
  readonly #waiting: WaitingBytes;
  readonly #reader = new ZmtpReader(messageLimits);
  readonly #timer: NodeJS.Timeout;
  readonly #resume = (): void => this.#read();
  #isReady = false;
  #isEnded = false;
  /** `#work` is running. */
  #works = false;
  #counted = 0;
  #messageSinceMs = 0;

  /** @param socket already connected */
  constructor(socket: Socket, type: 'SUB' | 'DEALER', listener: PeerListener, { budget, waiting }: PeerCommons) {
    this.#socket = socket;
    this.#type = type;
    this.#listener = listener;
    this.#budget = budget;
    this.#waiting = waiting;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveMs);
    socket.on('data', (chunk: Buffer) => this.#arrived(chunk));
    socket.on('error', (error) => this.#end(error.message));
    socket.on('close', () => this.#end(null));
    socket.on('end', () => socket.destroy());
    const startMs = performance.now();
    this.#timer = setInterval(() => this.#checkTime(startMs), 1000);
    this.#timer.unref();
    socket.write(writeGreeting());
  }

  get isReady(): boolean {
    return this.#isReady && !this.#isEnded;
  }

  send(frames: readonly (string | Uint8Array)[]): void {
    this.write(writeMessage(frames));
  }

  /** @param bytes whole frames */
  write(bytes: Uint8Array): void {
    if (this.#isEnded) return;
    this.#socket.write(bytes);
    if (this.#socket.writableLength > unreadBytesMax) this.#end('does not read what it is sent');
  }

  destroy(): void {
    this.#end(null);
  }

  #arrived(chunk: Buffer): void {
    if (this.#isEnded) return;
    this.#reader.push(chunk);
    this.#count();
    this.#read();
    if (!this.#works) void this.#work();
  }

  /** Pauses or resumes the socket by the bytes held. */
  #read(): void {
    if (this.#isEnded) return;
    if (this.#waiting.isFull) {
      this.#socket.pause();
      this.#waiting.whenRoom(this.#resume);
    } else if (this.#works && this.#reader.heldBytes > connectionBytesMax) this.#socket.pause();
    else if (this.#socket.isPaused()) this.#socket.resume();
  }

  #count(): void {
    const held = this.#isEnded ? 0 : this.#reader.heldBytes;
    const change = held - this.#counted;
    this.#counted = held;
    if (change !== 0) this.#waiting.change(change);
  }

  /** Handles received items one by one. An error of the listener ends the connection, not the process. */
  async #work(): Promise<void> {
    this.#works = true;
    try {
      for (let item = this.#reader.next(); item !== null && !this.#isEnded; item = this.#reader.next()) {
        await this.#take(item);
        if (this.#budget.spent) await this.#budget.nextTurn();
      }
    } catch (error) {
      this.#end(`could not be processed: ${(error as Error).message}`);
    }
    this.#works = false;
    this.#count();
    this.#messageSinceMs = this.#reader.isMidMessage ? this.#messageSinceMs || performance.now() : 0;
    this.#read();
  }

  #take(item: ZmtpItem): Promise<void> | void {
    this.#messageSinceMs = 0;
    switch (item.kind) {
      case 'greeting': {
        const fault = greetingFault(item.bytes);
        if (fault === null) this.write(writeReady(this.#type));
        else this.#end(fault);
        return;
      }
      case 'command':
        return this.#command(item.body);
      case 'message':
        if (this.#isReady) return this.#listener.message(item.frames);
        return this.#end('sends messages before the handshake');
      case 'failed':
        return this.#end(item.reason);
    }
  }

  #command(body: Uint8Array): void {
    const command = readCommand(body);
    switch (command.kind) {
      case 'ready': {
        const allowed: readonly string[] = partners[this.#type];
        if (!allowed.includes(command.socketType)) {
          this.#end(`is a ${command.socketType} socket, where a ${allowed[0]} is needed`);
          return;
        }
        if (this.#isReady) return;
        this.#isReady = true;
        this.#listener.ready();
        return;
      }
      case 'ping':
        this.write(writePong(command.context));
        return;
      case 'error':
        this.#end(`refuses the handshake: ${command.reason}`);
        return;
      case 'malformed':
        this.#end("sends a command that can't be read");
        return;
      case 'other':
        return;
    }
  }

  #checkTime(startMs: number): void {
    const nowMs = performance.now();
    if (!this.#isReady && nowMs - startMs > handshakeMsMax) this.#end(`no handshake within ${handshakeMsMax} ms`);
    const isLate = this.#messageSinceMs > 0 && nowMs - this.#messageSinceMs > messageMsMax;
    if (isLate && !this.#works) this.#end(`a message did not end within ${messageMsMax} ms`);
  }

  #end(reason: string | null): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearInterval(this.#timer);
    this.#waiting.forget(this.#resume);
    this.#count();
    this.#socket.destroy();
    this.#listener.ended(reason);
  }
}

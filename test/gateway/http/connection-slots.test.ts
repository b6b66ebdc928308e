// Which connections are closed when all slots are taken, with the test's own clock and sockets.

import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { beforeEach, expect, it } from 'vitest';
import { addressesIn } from '../../../src/gateway/address-range.ts';
import { ConnectionSlots } from '../../../src/gateway/http/connection-slots.ts';

class FakeSocket extends EventEmitter {
  static #port = 1;
  readonly remoteAddress: string | undefined;
  readonly remotePort = FakeSocket.#port++;
  readonly localAddress = '10.9.9.9';
  readonly localPort = 80;
  destroyed = false;

  constructor(remoteAddress: string | undefined) {
    super();
    this.remoteAddress = remoteAddress;
  }

  destroySoon(): void {
    this.destroy();
  }

  /** Like a socket: `close` follows later. */
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    setImmediate(() => this.emit('close'));
  }
}

let nowMs = 0;
let limits: string[] = [];
let settings = { connectionsMax: 4, unprovenPerAddressMax: 100, unix: false, isTrusted: addressesIn(['10.0.0.99']) };
let slots: ConnectionSlots;

beforeEach(() => {
  nowMs = 0;
  limits = [];
  settings = { ...settings, connectionsMax: 4, unprovenPerAddressMax: 100 };
  slots = new ConnectionSlots(
    () => settings,
    (limit) => limits.push(limit),
    () => nowMs,
  );
});

function open(address: string): FakeSocket {
  const socket = new FakeSocket(address);
  expect(slots.admit(socket as unknown as Socket)).toBe(!socket.destroyed);
  return socket;
}

/** Sends a request that is admitted or not. @returns ends its answer */
function ask(socket: FakeSocket, isLetIn: boolean): () => void {
  const request = { socket, headers: {} } as unknown as IncomingMessage;
  const response = new EventEmitter();
  slots.answerInTurn(request, response as unknown as ServerResponse, () => isLetIn && slots.letIn(request));
  return () => response.emit('close');
}

const closed = (sockets: readonly FakeSocket[]): boolean[] => sockets.map(({ destroyed }) => destroyed);

it('closes the oldest connection of the address with the most, at once for an address with fewer', () => {
  const crowd = [open('10.0.0.1'), open('10.0.0.1'), open('10.0.0.1')];
  const single = open('10.0.0.2');
  const newcomer = open('10.0.0.3');
  expect(closed([...crowd, single, newcomer])).toEqual([true, false, false, false, false]);
  expect(limits).toEqual(['connectionsMax']);
});

it('does not close a young connection for its own address, but an old one', () => {
  const first = open('10.0.0.1');
  nowMs = 500;
  const others = [open('10.0.0.1'), open('10.0.0.1'), open('10.0.0.1')];
  nowMs = 999;
  expect(open('10.0.0.1').destroyed).toBe(true);
  nowMs = 1000;
  expect(open('10.0.0.1').destroyed).toBe(false);
  expect(closed([first, ...others])).toEqual([true, false, false, false]);
});

it('keeps the connections of a burst from one address, and admits more as slots become free', async () => {
  const burst = Array.from({ length: 6 }, () => open('10.0.0.1'));
  expect(closed(burst)).toEqual([false, false, false, false, true, true]);
  burst[0]!.destroy();
  await new Promise((resolve) => setImmediate(resolve));
  expect(open('10.0.0.1').destroyed).toBe(false);
  expect(slots.counts()).toEqual({ unproven: 4, idle: 0, busy: 0 });
});

it('does not close proven busy connections; it closes the longest idle one', () => {
  const proven = Array.from({ length: 4 }, () => open('10.0.0.1'));
  const ends = proven.map((socket) => ask(socket, true));
  nowMs = 10_000;
  expect(open('10.0.0.2').destroyed).toBe(true);
  ends[2]!();
  nowMs = 11_000;
  ends[1]!();
  expect(slots.counts()).toEqual({ unproven: 0, idle: 2, busy: 2 });
  expect(open('10.0.0.2').destroyed).toBe(false);
  expect(closed(proven)).toEqual([false, false, true, false]);
  // The other connection has not been idle long enough, and the new one has the same address.
  expect(open('10.0.0.2').destroyed).toBe(true);
});

it('does not count a refused request as proof', () => {
  const refused = open('10.0.0.1');
  ask(refused, false)();
  expect(slots.counts()).toEqual({ unproven: 1, idle: 0, busy: 0 });
});

it('never closes connections of a trusted proxy', () => {
  const proxy = Array.from({ length: 4 }, () => open('10.0.0.99'));
  ask(proxy[0]!, true)();
  nowMs = 10_000;
  expect(open('10.0.0.1').destroyed).toBe(true);
  expect(closed(proxy)).toEqual([false, false, false, false]);
});

it('limits the unproven connections of one address, while others are admitted', () => {
  settings.unprovenPerAddressMax = 2;
  const sockets = [open('10.0.0.1'), open('10.0.0.1'), open('10.0.0.1')];
  expect(closed(sockets)).toEqual([false, false, true]);
  ask(sockets[0]!, true);
  expect(open('10.0.0.1').destroyed).toBe(false);
  nowMs = 1000;
  expect(open('10.0.0.1').destroyed).toBe(false);
  expect(closed(sockets)).toEqual([false, true, true]);
  expect(limits).toEqual(['unprovenPerAddressMax', 'unprovenPerAddressMax']);
});

it('answers pipelined requests one after the other, up to the limit', () => {
  const socket = open('10.0.0.1');
  const begun: number[] = [];
  const responses = Array.from({ length: 34 }, () => new EventEmitter());
  const send = (index: number): void => {
    const request = { socket, headers: {} } as unknown as IncomingMessage;
    slots.answerInTurn(request, responses[index] as unknown as ServerResponse, () => begun.push(index));
  };
  for (let i = 0; i < 33; i++) send(i);
  expect(begun).toEqual([0]);
  for (let i = 0; i < 3; i++) responses[i]!.emit('close');
  expect(begun).toEqual([0, 1, 2, 3]);
  for (const _ of [1, 2, 3]) send(33);
  expect(socket.destroyed).toBe(false);
  send(33);
  expect(socket.destroyed).toBe(true);
  expect(limits).toEqual(['pipelinedRequestsMax']);
  responses[3]!.emit('close');
  expect(begun).toEqual([0, 1, 2, 3]);
});

it('does not answer a pipelined request with a body, and then closes the connection', () => {
  const socket = open('10.0.0.1');
  const begun: string[] = [];
  const responses = [new EventEmitter(), new EventEmitter(), new EventEmitter()];
  let dropped = 0;
  const send = (index: number, headers: object): void => {
    const request = { socket, headers, resume: () => dropped++ } as unknown as IncomingMessage;
    slots.answerInTurn(request, responses[index] as unknown as ServerResponse, () => begun.push(`${index}`));
  };
  send(0, { 'content-length': '5' });
  send(1, { 'transfer-encoding': 'chunked' });
  send(2, {});
  expect([begun, dropped, socket.destroyed]).toEqual([['0'], 2, false]);
  responses[0]!.emit('close');
  expect([begun, socket.destroyed]).toEqual([['0'], true]);
});

it('gives no slot to a connection that was gone when it was accepted', () => {
  const socket = new FakeSocket(undefined);
  expect(slots.admit(socket as unknown as Socket)).toBe(false);
  expect(slots.counts()).toEqual({ unproven: 0, idle: 0, busy: 0 });
});

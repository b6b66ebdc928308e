// The price of the hop between a process that holds connections and the one that places: one request there and back.

import { fork } from 'node:child_process';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ownerDescriptor } from '../src/gateway/fronts/front-handover.ts';
import type { AskedRequest, FrontMessage, OwnerMessage } from '../src/gateway/fronts/front-messages.ts';
import { MessageChannel } from '../src/gateway/fronts/message-channel.ts';
import { type Quantiles, quantiles } from './measure.ts';

export interface HopSizes {
  /** Requests under way. */
  readonly inFlight: number;
  readonly requests: number;
  /** Blocks of 16 tokens in each prompt. */
  readonly blocks: number;
}

/** Answers every request with an order at once, as an owner without work would; runs in the child. */
export function runOwner(): void {
  const channel = new MessageChannel<FrontMessage, OwnerMessage>(new Socket({ fd: ownerDescriptor }), {
    receive: (message) => {
      if (message.kind !== 'asked') return;
      const order = {
        ...{ number: 1, engine: 1, address: { apiKey: null, rank: null }, model: 'bench', mayGiveUp: true },
        extraHeaders: ['x-request-id', message.asked.requestId, 'x-kvoyant-worker', 'engine-0123456789ab#0'],
        traceHeaders: null,
      };
      channel.post({ kind: 'attempt', request: message.request, order });
    },
    lost: () => process.exit(0),
  });
}

/**
 * Milliseconds from the question to the order.
 * @param program calls `runOwner` if it was forked
 */
export async function measureHop(program: string, { inFlight, requests, blocks }: HopSizes): Promise<Quantiles> {
  const child = fork(program, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'], execArgv: [] });
  const hopsMs = new Float64Array(requests);
  const askedMs = new Float64Array(requests);
  let next = 0;
  let ended = 0;
  try {
    await new Promise<void>((resolve, reject) => {
      const channel = new MessageChannel<OwnerMessage, FrontMessage>(child.stdio[ownerDescriptor] as Duplex, {
        receive: (message) => {
          if (message.kind !== 'attempt') return;
          hopsMs[message.request] = performance.now() - askedMs[message.request]!;
          ended += 1;
          if (ended === requests) resolve();
          else ask();
        },
        lost: reject,
      });
      const ask = (): void => {
        if (next === requests) return;
        const request = next++;
        askedMs[request] = performance.now();
        channel.post({ kind: 'asked', request, asked: askedRequest(request, blocks) });
      };
      for (let i = 0; i < inFlight; i++) ask();
    });
  } finally {
    child.kill('SIGKILL');
  }
  // Both programs compile their code in the first quarter.
  return quantiles(hopsMs.slice(requests / 4));
}

function askedRequest(request: number, blocks: number): AskedRequest {
  const hashes = [
    { blockSize: 16, count: blocks, sequence: new Uint32Array(2 * blocks).fill(request), blockTokens: 16 },
  ];
  return {
    requestId: `0123456789abcdef-${request}`,
    sharedMs: performance.now(),
    model: 'model',
    key: null,
    request: { maxOutputTokens: 100, sequences: 1, stream: true },
    overrides: { priority: 0, pin: null, session: null },
    prompts: [{ isl: 16 * blocks, hashes }],
    trace: null,
  };
}

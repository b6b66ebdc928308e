// The program of a front: started by the owner, which tells it everything over a socket, and ends with it.

import { Server as TlsServer } from 'node:https';
import { Socket } from 'node:net';
import { BlockHasher } from '../../core/index.ts';
import { addressesIn } from '../address-range.ts';
import { unixPathOf } from '../config/listen-address.ts';
import { AnswerBudget, answersBytesMax } from '../exchange/answer-budget.ts';
import { AnswerDeadlines } from '../exchange/answer-deadlines.ts';
import { BodyBudget, bodiesBytesMax } from '../exchange/body-budget.ts';
import { TurnSlices } from '../exchange/turn-slices.ts';
import { AcceptHold } from '../http/accept-hold.ts';
import { Access } from '../http/access.ts';
import { ConnectionSlots } from '../http/connection-slots.ts';
import { closeServer } from '../http/listening.ts';
import { createGatewayServer } from '../http/server.ts';
import { logDeath, ReadingThread } from '../inference/reading-thread.ts';
import { RetryBudget } from '../inference/retry-budget.ts';
import { Tokenizers } from '../prompts/tokenizers.ts';
import { createLog } from '../telemetry/gateway-log.ts';
import type { FrontContext } from './front-context.ts';
import { handleAtFront } from './front-door.ts';
import { connectionMessage, figuresIntervalMs, ownerDescriptor } from './front-handover.ts';
import type { FrontSettings } from './front-messages.ts';
import { OwnerDoor } from './owner-door.ts';
import { OwnerLink } from './owner-link.ts';

/** Share of each turn of the event loop for arriving requests. */
const intakeSliceMsMax = 4;

// The owner is told to stop, and tells its fronts: a signal to the whole group must not end their answers.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => process.exit(0));

let settings: (next: FrontSettings) => void = () => undefined;
let stop: (graceMs: number) => void = () => undefined;

const owner = new OwnerLink(new Socket({ fd: ownerDescriptor }), {
  start: (first, ownerSocket) => {
    start(first, ownerSocket).catch((error: unknown) => {
      createLog(first.config).fatal({ err: error }, 'a process for connections can not start');
      process.exit(1);
    });
  },
  settings: (next) => settings(next),
  stop: (graceMs) => stop(graceMs),
  lost: () => process.exit(0),
});

async function start(first: FrontSettings, ownerSocket: string): Promise<void> {
  let { config } = first;
  const log = createLog(config, { pid: process.pid });
  // The owner tells what is to be told of them.
  const tokenizers = await Tokenizers.load(config, () => undefined);
  const nowMs = (): number => performance.now();
  const acceptHold = new AcceptHold(nowMs);
  const onLimit = (limit: string): void => owner.post({ kind: 'limited', limit });
  let isTrusted = addressesIn(config.trustedProxies);
  const unix = unixPathOf(config.host) !== null;
  const slots = new ConnectionSlots(
    () => {
      const { connectionsMax, unprovenPerAddressMax } = config;
      return { connectionsMax, unprovenPerAddressMax, unix, isTrusted };
    },
    onLimit,
    nowMs,
  );
  const bodyBudget = new BodyBudget(() => bodiesBytesMax(config));
  const answerBudget = new AnswerBudget(Math.ceil(answersBytesMax / config.threads));
  const context: FrontContext = {
    get config() {
      return config;
    },
    traces: first.traces,
    access: new Access(),
    slots,
    deadlines: new AnswerDeadlines(() => config, onLimit),
    bodyBudget,
    answerBudget,
    intakeSlices: new TurnSlices(intakeSliceMsMax, nowMs, { hold: acceptHold.asker() }),
    readingThread: new ReadingThread(logDeath(log)),
    retryBudget: new RetryBudget(),
    hasher: new BlockHasher(),
    tokenizers,
    owner,
    ownerDoor: new OwnerDoor(ownerSocket),
    metrics: { limited: { inc: ({ limit }) => onLimit(limit) } },
    log,
  };
  const server = createGatewayServer(
    { config, slots, acceptHold, access: context.access, metrics: context.metrics },
    first.tls,
    (request, response) => handleAtFront(context, request, response),
  );
  settings = (next) => {
    config = next.config;
    log.level = config.logLevel;
    isTrusted = addressesIn(config.trustedProxies);
    if (next.tls !== null && server instanceof TlsServer) server.setSecureContext(next.tls);
    context.access.configure(next.apiKeys, config, next.tls?.ca ?? null);
    // Until then, requests that need a new one are the owner's.
    tokenizers.prepare(config).catch((error: unknown) => log.error({ err: error }, 'a tokenizer is missing here'));
  };
  settings(first);
  // It gets its connections from the owner; this starts its checks for requests that take too long to arrive.
  server.emit('listening');
  process.on('message', (message, socket) => {
    if (message !== connectionMessage) return;
    if (!(socket instanceof Socket)) {
      // The client left while it was handed over.
      owner.post({ kind: 'closed', count: 1 });
      return;
    }
    socket.once('close', () => owner.post({ kind: 'closed', count: 1 }));
    socket.setNoDelay(true).setKeepAlive(true);
    server.emit('connection', socket);
  });
  const figures = setInterval(() => {
    const held = { bodyBytes: bodyBudget.heldBytes, answerBytes: answerBudget.heldBytes };
    owner.post({ kind: 'figures', figures: { connections: slots.counts(), ...held } });
  }, figuresIntervalMs);
  stop = async (graceMs) => {
    let brokenOffAnswers = 0;
    await closeServer(server, slots, graceMs, () => {
      brokenOffAnswers = context.deadlines.breakOff(graceMs);
      if (brokenOffAnswers > 0) log.warn({ brokenOffAnswers, shutdownGraceMs: graceMs }, 'answers broken off');
    });
    clearInterval(figures);
    context.deadlines.close();
    context.ownerDoor.close();
    await context.readingThread.close();
    await tokenizers.close();
    owner.post({ kind: 'stopped', brokenOffAnswers });
    await owner.drained();
    process.exit(0);
  };
  owner.post({ kind: 'started' });
}

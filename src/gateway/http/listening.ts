// Opens and closes the listeners.

import type { Server } from 'node:http';
import { Server as TlsServer } from 'node:https';
import type { AddressInfo, Server as NetServer } from 'node:net';
import { ConfigError, type GatewayConfig } from '../config/config.ts';
import { unixPathOf } from '../config/listen-address.ts';
import type { TlsIdentity } from '../config/pem-files.ts';
import type { ConnectionSlots } from './connection-slots.ts';
import type { GatewayContext } from './gateway-context.ts';
import { healthFacts } from './health-answers.ts';
import { HealthListenError, HealthThread } from './health-thread.ts';
import { listenAtSocket } from './unix-socket.ts';

/** Connections waiting to be accepted; large enough for a burst of a thousand. */
const backlogMax = 4096;
const idleSweepMs = 50;
/** Time for clients to receive the end of a broken-off answer. */
const farewellMsMax = 200;
/** Time without a new connection after which a listener may close. */
const calmMs = 20;
/** Time to accept what waits in the backlog when the listener closes. */
const lastAcceptsMsMax = 1000;

/** @throws ConfigError with advice if the address can't be used */
export async function listenForOperators(
  server: Server | TlsServer,
  { adminHost: host, socketMode }: Pick<GatewayConfig, 'adminHost' | 'socketMode'>,
  port: number,
): Promise<void> {
  try {
    await listen(server, { host, port, socketMode });
  } catch (error) {
    if (unixPathOf(host) !== null)
      throw new ConfigError('adminHost', `${host} can't be used: ${(error as Error).message}`);
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'EADDRINUSE' ? 'is taken' : `can't be used (${message})`;
    const hint =
      'set adminPort (--admin-port) to a free port, to 0 for any, or to none: then operators use the port of clients, with a key';
    throw new ConfigError('adminPort', `${host}:${port}, the address of operators, ${reason}: ${hint}`);
  }
}

export type ListenPlace = Pick<GatewayConfig, 'host' | 'port' | 'socketMode'>;

export async function listen(server: NetServer, { host, port, socketMode }: ListenPlace): Promise<void> {
  const path = unixPathOf(host);
  if (path !== null) {
    return await listenAtSocket(server, { path, mode: Number.parseInt(socketMode, 8), backlog: backlogMax });
  }
  return await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: backlogMax }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** @throws ConfigError with advice if the address can't be used */
export async function startHealthThread(
  context: GatewayContext,
  port: number,
  tls: TlsIdentity | null,
): Promise<HealthThread> {
  const { config, log } = context;
  const { host } = config;
  try {
    return await HealthThread.start({ host, port, tls, facts: () => healthFacts(context), log });
  } catch (error) {
    if (!(error instanceof HealthListenError)) throw error;
    const reason = error.code === 'EADDRINUSE' ? 'is taken' : `can't be used (${error.message})`;
    throw new ConfigError(
      'healthPort',
      `${host}:${port}, the address of health probes, ${reason}: set healthPort (--health-port) to a free port, to 0 for any, or to none`,
    );
  }
}

export function addressOf(server: Server | TlsServer, host: string): string {
  const { port = 0 } = server.address() as Partial<AddressInfo>;
  return urlOf(server instanceof TlsServer, host, port);
}

/** A unix socket has no URL: `unix:/PATH` stands for it. */
export function urlOf(secure: boolean, host: string, port: number): string {
  if (unixPathOf(host) !== null) return host;
  return `${secure ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * Resolves once no connection has come for `calmMs`: closing a listener resets those in its backlog, which a busy process
 * has not seen yet. Clients that go on connecting are served for `lastAcceptsMsMax`.
 */
export async function acceptWaiting(server: NetServer): Promise<void> {
  const endMs = performance.now() + lastAcceptsMsMax;
  let accepted = 0;
  const count = (): void => {
    accepted += 1;
  };
  server.on('connection', count);
  for (let seen = -1; seen !== accepted && performance.now() < endMs; ) {
    seen = accepted;
    await new Promise((resolve) => setTimeout(resolve, calmMs));
    // A late timer comes before the sockets of its turn.
    await new Promise((resolve) => setImmediate(resolve));
  }
  server.off('connection', count);
}

/**
 * Resolves when all connections are closed. A server that does not listen is only rid of its connections.
 * @param graceOver called if connections are left after `graceMs`; its output gets `farewellMsMax` to arrive
 */
export async function closeServer(
  server: Server | TlsServer,
  slots: ConnectionSlots,
  graceMs: number,
  graceOver: () => void,
): Promise<void> {
  if (server.listening) await acceptWaiting(server);
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearInterval(sweep);
      clearTimeout(timer);
      resolve();
    };
    const { listening } = server;
    let farewell = false;
    const sweep = setInterval(() => {
      // A connection becomes idle only after its answer has ended.
      if (!farewell) {
        server.closeIdleConnections();
        slots.closeSilent();
      }
      if (!listening && slots.empty) done();
    }, idleSweepMs);
    // Node's server does not track connections before their first byte, or before the end of their TLS handshake.
    let timer = setTimeout(() => {
      // Node calls a connection idle as soon as its answer has ended, whether or not its bytes have left.
      farewell = true;
      graceOver();
      timer = setTimeout(() => slots.closeAll(), farewellMsMax);
    }, graceMs);
    if (listening) server.close(done);
  });
}

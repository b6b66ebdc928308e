// Serves the connections of a burst: all are accepted first, then read in slices of a few milliseconds.

import type { Server, Socket } from 'node:net';
import { TurnSlices } from '../exchange/turn-slices.ts';
import type { AcceptHold } from './accept-hold.ts';

const sliceMsMax = 4;
/** A connection that sends nothing is handed to the server after this time, whose own limits end it. */
const firstBytesMsMax = 1000;

/**
 * To be called before the first connection: it takes over the server's connection listeners.
 * @param admit whether a connection may stay; if not, it has closed it
 */
export function receiveInSlices(
  server: Server,
  hold: AcceptHold,
  nowMs: () => number,
  admit: (socket: Socket) => boolean,
): void {
  const listeners = server.listeners('connection') as ((socket: Socket) => void)[];
  const serve = (socket: Socket): void => {
    for (const listener of listeners) listener.call(server, socket);
  };
  const slices = new TurnSlices(sliceMsMax, nowMs, { hold: hold.asker(), bothEnds: true });
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    hold.accepted();
    if (!admit(socket)) return;
    const serveOpen = (): unknown => socket.destroyed || serve(socket);
    if (slices.idle) slices.run(serveOpen);
    else whenItSends(socket, () => slices.run(serveOpen));
  });
}

/** Calls back once: at the first bytes, after `firstBytesMsMax`, or when the client is gone. */
function whenItSends(socket: Socket, callback: () => void): void {
  const end = (): void => {
    socket.off('readable', end).off('timeout', end).off('close', end).setTimeout(0);
    callback();
  };
  socket.on('error', ignore).on('readable', end).on('timeout', end).on('close', end).setTimeout(firstBytesMsMax);
}

/** The server adds its own error listener once it gets the connection. */
function ignore(): void {}

// A ZeroMQ address (`tcp://HOST:PORT`, `ipc://PATH`) as options for Node, or why it can't be used.

import { connect, isIP, isIPv6, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';

/** `host` null: any address of this machine. */
export type SocketPlace =
  | { readonly kind: 'tcp'; readonly host: string | null; readonly port: number }
  | { readonly kind: 'ipc'; readonly path: string };

const connectMsMax = 5000;
const hostNameMax = 253;
/** Kernel limit on the path of a Unix socket. */
const pathBytesMax = 107;

const wildcards: ReadonlySet<string> = new Set(['*', '0.0.0.0', '::']);

/** @returns the place, or a text that says what is wrong */
export function readSocketPlace(endpoint: string): SocketPlace | string {
  if (endpoint.startsWith('ipc://')) {
    const path = endpoint.slice('ipc://'.length);
    const isUsable = path.length > 0 && !path.startsWith('@') && Buffer.byteLength(path) <= pathBytesMax;
    return isUsable ? { kind: 'ipc', path } : `${endpoint} is no path of 1 to ${pathBytesMax} bytes`;
  }
  const match = /^tcp:\/\/(?:\[([^[\]]+)\]|([^[\]:]+|::)):(\d{1,5})$/.exec(endpoint);
  if (match === null) return `${endpoint} is not of the form tcp://HOST:PORT or ipc://PATH`;
  const [, bracketed, plain] = match;
  const host = bracketed ?? plain!;
  const port = Number(match[3]);
  if (port < 1 || port > 65_535) return `${endpoint} has a port that is not from 1 to 65535`;
  if (wildcards.has(host)) return { kind: 'tcp', host: null, port };
  const isHost = bracketed !== undefined ? isIPv6(host.replace(/%.*$/, '')) : isIP(host) > 0 || isHostName(host);
  return isHost ? { kind: 'tcp', host, port } : `${endpoint} has a host that is neither an address nor a name`;
}

function isHostName(text: string): boolean {
  // A name of only digits and dots is a mistyped address.
  return (
    text.length <= hostNameMax && /^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/.test(text) && /[A-Za-z_]/.test(text)
  );
}

/** Options to listen at the place; a host may name a network interface. */
export function listenOptions(
  place: SocketPlace,
): { readonly path: string } | { readonly port: number; readonly host?: string } {
  if (place.kind === 'ipc') return { path: place.path };
  const { host, port } = place;
  if (host === null) return { port };
  return { port, host: networkInterfaces()[host]?.[0]?.address ?? host };
}

/** All sockets read into it: Node would make one of this size for each read, filled with zeros. */
const readBuffer = Buffer.allocUnsafeSlow(65_536);

/**
 * Connects once. Never throws: errors go to `failed` in a later turn of the event loop. The bytes of the socket's `data`
 * are valid only during the event.
 * @returns cancels the attempt; then neither callback is called
 */
export function dial(
  place: SocketPlace | string,
  connected: (socket: Socket) => void,
  failed: (reason: string) => void,
): () => void {
  let isOver = false;
  const once = (end: () => void): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    end();
  };
  const giveUp = (): void => once(() => socket?.destroy());
  const fail = (reason: string): void =>
    once(() => {
      socket?.destroy();
      failed(reason);
    });
  const timer = setTimeout(() => fail(`no connection within ${connectMsMax} ms`), connectMsMax);
  const socket = tryConnect(place, fail);
  // Stays for the socket's life: an unhandled error event would end the process.
  socket?.on('error', (error) => fail((error as NodeJS.ErrnoException).code ?? error.message));
  socket?.once('connect', () => once(() => connected(socket)));
  return giveUp;
}

function tryConnect(place: SocketPlace | string, fail: (reason: string) => void): Socket | null {
  try {
    if (typeof place === 'string') throw new Error(place);
    const callback = (byteCount: number): boolean => {
      socket.emit('data', readBuffer.subarray(0, byteCount));
      return !socket.isPaused();
    };
    const onread = { buffer: readBuffer, callback };
    const socket =
      place.kind === 'ipc'
        ? connect({ path: place.path, onread })
        : connect({ host: place.host ?? '127.0.0.1', port: place.port, onread });
    return socket;
  } catch (error) {
    setImmediate(() => fail((error as Error).message));
    return null;
  }
}

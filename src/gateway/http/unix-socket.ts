// Listens on a unix socket: replaces one that a dead process left, and never one that is in use.

import { chmodSync, lstatSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { join } from 'node:path';

/** Time for a process that owns the socket to accept. */
const answerMsMax = 2000;

export interface SocketPlace {
  readonly path: string;
  /** Permissions, as of `chmod`: who may write to the socket may connect. */
  readonly mode: number;
  readonly backlog: number;
}

/**
 * The socket is made in a folder that only this user can enter, gets its permissions there, and then takes its place in
 * one step: nobody can connect before, and of two gateways that start at once neither removes the other's by accident.
 * When the server closes, the socket goes with it, unless another has taken its place.
 * @throws EADDRINUSE if something listens there or the path is not a socket's; errors of the file system
 */
export async function listenAtSocket(server: Server, { path, mode, backlog }: SocketPlace): Promise<void> {
  await refuseIfUsed(path);
  const folder = mkdtempSync(`${path}.`);
  try {
    const made = join(folder, 's');
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ path: made, backlog }, () => {
        server.off('error', reject);
        resolve();
      });
    });
    chmodSync(made, mode);
    const own = inodeOf(made);
    renameSync(made, path);
    server.once('close', () => {
      if (own !== null && inodeOf(path) === own) rmSync(path, { force: true });
    });
  } catch (error) {
    server.close();
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function refuseIfUsed(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw inUse(`${path} exists and is not a socket`);
  const code = await new Promise<string | null>((resolve) => {
    const probe = connect({ path, timeout: answerMsMax });
    const end = (result: string | null): void => {
      probe.destroy();
      resolve(result);
    };
    probe.once('connect', () => end(null));
    probe.once('timeout', () => end('ETIMEDOUT'));
    probe.once('error', ({ code: failure = '' }: NodeJS.ErrnoException) => end(failure));
  });
  // Refused: nobody listens any more. Gone: its owner has just removed it.
  if (code !== 'ECONNREFUSED' && code !== 'ENOENT') throw inUse(`something listens on ${path} already`);
}

function inodeOf(path: string): number | null {
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found?.isSocket() === true ? found.ino : null;
}

function inUse(message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code: 'EADDRINUSE' });
}

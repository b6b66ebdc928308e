// A nats-server for the demo: from the path, from Debian's folder, or installed from Debian's packages.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';

const debianPath = '/usr/sbin/nats-server';
const startTimeoutMs = 15_000;
const stopGraceMs = 2000;

export const natsAdvice: string =
  'the demo of replicas needs nats-server, one program without dependencies: apt-get install nats-server (Debian, ' +
  'Ubuntu), brew install nats-server (macOS), or a file of https://github.com/nats-io/nats-server/releases on the path';

/** @param notice called before a package is installed @returns null: there is none, and none could be installed */
export function findNats(notice: (line: string) => void): string | null {
  const present = presentNats();
  if (present !== null || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return present;
  notice('installing nats-server (apt-get install nats-server)');
  spawnSync('apt-get', ['install', '-y', '--no-install-recommends', 'nats-server'], { stdio: 'ignore' });
  return presentNats();
}

function presentNats(): string | null {
  if (spawnSync('nats-server', ['--version']).status === 0) return 'nats-server';
  return existsSync(debianPath) ? debianPath : null;
}

export interface NatsProgram {
  readonly url: string;
  stop(): Promise<void>;
}

/** On a free port of loopback. @throws Error if it does not start */
export async function startNats(program: string): Promise<NatsProgram> {
  const child = spawn(program, ['-a', '127.0.0.1', '-p', '-1'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const endWithUs = (): void => void child.kill('SIGKILL');
  process.once('exit', endWithUs);
  const stop = async (): Promise<void> => {
    process.off('exit', endWithUs);
    await stopChild(child);
  };
  try {
    return { url: `nats://127.0.0.1:${await portOf(child)}`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let said = '';
    const timer = setTimeout(() => reject(new Error(`nats-server was not ready in time: ${said}`)), startTimeoutMs);
    child.once('error', (error) => reject(new Error(`nats-server could not be started: ${error.message}`)));
    child.once('exit', () => reject(new Error(`nats-server ended: ${said}`)));
    child.stderr!.on('data', (data: Buffer) => {
      said = (said + data.toString('utf8')).slice(-4000);
      const port = /client connections on \S+:(\d+)/.exec(said)?.[1];
      if (port === undefined || !said.includes('Server is ready')) return;
      clearTimeout(timer);
      resolve(Number(port));
    });
  });
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopGraceMs);
  await exited;
  clearTimeout(timer);
}

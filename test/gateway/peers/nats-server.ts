// A real nats-server for tests: from the path, from Debian's folder, or installed by apt.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { freePort } from '../../e2e/free-port.ts';

const startMsMax = 20_000;
const debianPath = '/usr/sbin/nats-server';

let found: string | null | undefined;

/** The program; null: there is none, and apt can't install it. Says so once. */
export function natsProgram(): string | null {
  if (found === undefined) found = find();
  return found;
}

function find(): string | null {
  const onPath = (): string | null => {
    if (spawnSync('nats-server', ['--version']).status === 0) return 'nats-server';
    return existsSync(debianPath) ? debianPath : null;
  };
  const present = onPath();
  if (present !== null) return present;
  try {
    execFileSync('apt-get', ['install', '-y', '--no-install-recommends', 'nats-server'], { stdio: 'ignore' });
  } catch {
    // Said below.
  }
  const installed = onPath();
  if (installed === null) console.warn('tests with NATS are skipped: no nats-server here, and apt can not install it');
  return installed;
}

export class NatsServer {
  readonly #arguments: readonly string[];
  #child: ChildProcess | null = null;
  #port: number;

  private constructor(args: readonly string[], port: number) {
    this.#arguments = args;
    this.#port = port;
  }

  /** On a free port of loopback. @param args more flags */
  static async start(...args: readonly string[]): Promise<NatsServer> {
    const server = new NatsServer(args, await freePort());
    await server.start();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  /** On the same port as before. */
  async start(): Promise<void> {
    const args = ['-a', '127.0.0.1', '-p', String(this.#port), ...this.#arguments];
    const child = spawn(natsProgram()!, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    this.#port = await new Promise<number>((resolve, reject) => {
      let said = '';
      const timer = setTimeout(() => reject(new Error(`nats-server did not start: ${said}`)), startMsMax);
      child.once('exit', () => reject(new Error(`nats-server ended: ${said}`)));
      child.stderr!.on('data', (data: Buffer) => {
        said = (said + data.toString('utf8')).slice(-4000);
        const port = /Listening for client connections on \S+:(\d+)/.exec(said)?.[1];
        if (port === undefined || !said.includes('Server is ready')) return;
        clearTimeout(timer);
        resolve(Number(port));
      });
    });
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
}

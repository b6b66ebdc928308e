// A router under test: a process on its own core, started, awaited and stopped.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { mockModel } from './bodies.ts';
import { onRouterCore } from './processor.ts';

const startMsMax = 30_000;
const stopMsMax = 5000;
const startAttemptsMax = 3;

export interface EngineAddress {
  readonly url: string;
  /** Address of its KV events; null: none. */
  readonly kvEvents: string | null;
  readonly kvReplay: string | null;
}

export interface Contender {
  readonly name: string;
  /** Its version and options, for the report. */
  readonly about: string;
  /** Variables beside those of this process. */
  readonly environment?: Readonly<Record<string, string>>;
  /** The command that serves at `127.0.0.1:port`; `otherPort` is for its other listeners. */
  command(engines: readonly EngineAddress[], port: number, otherPort: number): readonly string[];
}

/** Process groups of routers that run. They do not get the terminal's signals. */
const runningGroups = new Set<number>();

/** Ends the routers too when this process is told to end. */
export function endRoutersWithUs(): void {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(name, () => {
      for (const group of runningGroups) signal(group, 'SIGKILL');
      process.exit(1);
    });
  }
}

export class RunningContender {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #said: () => string;

  private constructor(url: string, child: ChildProcess, said: () => string) {
    this.url = url;
    this.#child = child;
    this.#said = said;
  }

  /** @throws Error with its output if it does not answer in time */
  static async start(contender: Contender, engines: readonly EngineAddress[]): Promise<RunningContender> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await RunningContender.#startOnce(contender, engines);
      } catch (error) {
        // Another process may take a port between its choice and its use.
        if (attempt === startAttemptsMax || !/taken|in use/.test((error as Error).message)) throw error;
      }
    }
  }

  static async #startOnce(contender: Contender, engines: readonly EngineAddress[]): Promise<RunningContender> {
    const [port, otherPort] = await freePorts();
    const [file, ...rest] = onRouterCore(contender.command(engines, port, otherPort));
    const env = { ...process.env, ...contender.environment };
    const child = spawn(file!, rest, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    if (child.pid !== undefined) runningGroups.add(child.pid);
    let said = '';
    const hear = (bytes: Buffer): void => {
      said = (said + bytes.toString()).slice(-1500);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    const running = new RunningContender(`http://127.0.0.1:${port}`, child, () => said);
    try {
      await running.#answers(contender.name);
    } catch (error) {
      await running.stop();
      throw error;
    }
    return running;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Ends it and all its children. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child.pid !== undefined) runningGroups.delete(child.pid);
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const exited = once(child, 'exit');
    signal(child.pid, 'SIGTERM');
    const late = setTimeout(() => signal(child.pid!, 'SIGKILL'), stopMsMax);
    await exited;
    clearTimeout(late);
    signal(child.pid, 'SIGKILL');
  }

  /** Waits for several answers in a row, since some routers find their engines one by one. */
  async #answers(name: string): Promise<void> {
    const deadlineMs = performance.now() + startMsMax;
    for (let inARow = 0; inARow < 4; ) {
      const ended = this.#child.exitCode !== null || this.#child.signalCode !== null;
      if (ended || performance.now() > deadlineMs) throw new Error(`${name} does not answer: ${this.#said()}`);
      inARow = (await isAnswered(this.url)) ? inARow + 1 : 0;
      await sleep(inARow === 0 ? 100 : 300);
    }
  }
}

async function isAnswered(url: string): Promise<boolean> {
  const body = {
    model: mockModel,
    messages: [{ role: 'user', content: 'hello' }],
    max_tokens: 1,
    seed: 0,
    stream: true,
  };
  try {
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...body, seed: -1 }),
      signal: AbortSignal.timeout(5000),
    });
    return (await answer.text()).includes('[DONE]') && answer.ok;
  } catch {
    return false;
  }
}

/** Signals the whole process group: some routers start child processes. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(-pid, name);
  } catch {
    // All have ended.
  }
}

async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()];
  const ports: number[] = [];
  for (const server of servers) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ports.push((server.address() as AddressInfo).port);
  }
  for (const server of servers) {
    server.close();
    await once(server, 'close');
  }
  return [ports[0]!, ports[1]!];
}

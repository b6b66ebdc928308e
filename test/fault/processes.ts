// Processes for fault tests: the compiled command as gateway and simulated engines, and scripted engines.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { get } from 'node:http';
import { get as getTls } from 'node:https';
import { join } from 'node:path';
import { expect } from 'vitest';
import { freePort } from '../e2e/free-port.ts';
import { eventually } from '../e2e/harness.ts';

export const command = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
const scripted = join(import.meta.dirname, 'scripted-engine.mjs');
const startMsMax = 20_000;
/** Linux counts processor time in hundredths of a second. */
const clockTickMs = 10;
/** State of a listening socket in Linux's tables. */
const tcpListens = '0A';
/** Characters kept from the end of a program's log. */
const logCharactersMax = 1_000_000;

export class Program {
  readonly #arguments: readonly string[];
  readonly #announces: RegExp;
  readonly #environment: Readonly<Record<string, string>>;
  #child: ChildProcess | null = null;
  #url = '';
  #log = '';
  #printed = '';

  private constructor(args: readonly string[], announces: RegExp, environment: Readonly<Record<string, string>>) {
    this.#arguments = args;
    this.#announces = announces;
    this.#environment = environment;
  }

  /** @param announces matches its address in its first line @param environment in addition to the test's own */
  static async start(
    args: readonly string[],
    announces: RegExp,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Program> {
    const program = new Program(args, announces, environment);
    await program.#spawn();
    return program;
  }

  get url(): string {
    return this.#url;
  }

  /** URL of a gateway's operator routes. */
  get adminUrl(): string {
    return this.printed(/for operators at (\S+)/g).at(-1)!;
  }

  /** URL of a gateway's health thread. */
  get healthUrl(): string {
    return this.printed(/health probes at (\S+)/g).at(-1)!;
  }

  get port(): string {
    return new URL(this.#url).port;
  }

  /** Ids of the processes that it has started. */
  childPids(): number[] {
    const { pid } = this.#child!;
    const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return list === '' ? [] : list.split(' ').map(Number);
  }

  /** Resident memory. */
  residentBytes(): number {
    return this.#statusBytes('VmRSS');
  }

  /** Peak resident memory. */
  peakResidentBytes(): number {
    return this.#statusBytes('VmHWM');
  }

  /** Open connections to its listening port. */
  clientSocketCount(): number {
    const folder = `/proc/${this.#child!.pid}`;
    const held = new Set(readdirSync(`${folder}/fd`).map((fd) => socketOf(`${folder}/fd/${fd}`)));
    const lines = ['tcp', 'tcp6'].flatMap((table) => readFileSync(`${folder}/net/${table}`, 'utf8').split('\n'));
    const port = Number(this.port).toString(16).toUpperCase().padStart(4, '0');
    return lines.filter((line) => {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      return local?.endsWith(`:${port}`) && state !== tcpListens && held.has(inode!);
    }).length;
  }

  /** Processor time so far. */
  processorMs(): number {
    const fields = readFileSync(`/proc/${this.#child!.pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) * clockTickMs;
  }

  /** The first group of each match in its output. */
  printed(pattern: RegExp): string[] {
    return [...this.#printed.matchAll(pattern)].map((match) => match[1]!);
  }

  /** Log lines with this text, oldest first. */
  logged(text: string): string[] {
    return this.#log.split('\n').filter((line) => line.includes(text));
  }

  /** Resolves when it has ended; null: killed by a signal. */
  async exitCode(): Promise<number | null> {
    const child = this.#child!;
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return child.exitCode;
  }

  signal(name: NodeJS.Signals): void {
    this.#child!.kill(name);
  }

  async end(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  /** Starts it again, on the same port if its arguments name one. */
  async restart(): Promise<void> {
    await this.end();
    await this.#spawn();
  }

  #statusBytes(field: string): number {
    const status = readFileSync(`/proc/${this.#child!.pid}/status`, 'utf8');
    return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)![1]) * 1024;
  }

  async #spawn(): Promise<void> {
    const env = { ...process.env, ...this.#environment };
    const child = spawn(process.execPath, [...this.#arguments], { stdio: ['ignore', 'pipe', 'pipe'], env });
    this.#child = child;
    this.#printed = '';
    let said = '';
    const listens = new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`did not start: ${said}`)), startMsMax);
      child.stdout!.on('data', (data: Buffer) => {
        said += data.toString('utf8');
        this.#printed += data.toString('utf8');
        const found = this.#announces.exec(said);
        if (found === null) return;
        clearTimeout(timer);
        resolve(found[1]!);
      });
      child.stderr!.on('data', (data: Buffer) => {
        const text = data.toString('utf8');
        said = (said + text).slice(-4000);
        this.#log = (this.#log + text).slice(-logCharactersMax);
      });
      child.once('exit', () => {
        clearTimeout(timer);
        reject(new Error(`ended: ${said}`));
      });
    });
    this.#url = await listens;
  }
}

/** The inode of an open socket; null: not a socket, or closed. */
function socketOf(path: string): string | null {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(path))?.[1] ?? null;
  } catch {
    return null;
  }
}

export async function startScripted(): Promise<Program> {
  return Program.start([scripted, `${await freePort()}`], /listening on (\S+)/);
}

export function restartScripted(program: Program): Promise<void> {
  return program.restart();
}

/** @param speedup simulated seconds per real second */
export async function startSim(speedup: number): Promise<Program> {
  const port = `${await freePort()}`;
  const args = ['sim-worker', '--count', '1', '--port', port, '--model', 'scripted', '--speedup', String(speedup)];
  return Program.start([command, ...args], /listening on (\S+)/);
}

/** Several engines in one process. */
export async function startSims(count: number): Promise<{ program: Program; urls: string[] }> {
  const args = ['sim-worker', '--count', `${count}`, '--port', '0', '--model', 'scripted'];
  const program = await Program.start([command, ...args], new RegExp(`sim-worker ${count - 1} listening on (\\S+)`));
  return { program, urls: program.printed(/listening on (\S+)/g) };
}

export function restartSim(program: Program): Promise<void> {
  return program.restart();
}

export async function startGateway(
  engines: readonly Pick<Program, 'url'>[],
  ...more: readonly string[]
): Promise<Program> {
  const workers = engines.flatMap(({ url }) => ['--worker', url]);
  const args = ['serve', '--port', '0', '--log-level', 'error', '--no-canary', ...workers, ...more];
  const gateway = await Program.start([command, ...args], /listening on (\S+)/);
  await eventually(async () => (await readyEngines(gateway)) === engines.length, startMsMax);
  return gateway;
}

/** A gateway that follows a configuration file. */
export async function startConfigured(file: string, engineCount: number): Promise<Program> {
  const gateway = await Program.start([command, 'serve', '--config', file], /listening on (\S+)/);
  await eventually(async () => (await readyEngines(gateway)) === engineCount, startMsMax);
  return gateway;
}

export async function readyEngines(gateway: Program): Promise<number> {
  return ((await getJson(`${gateway.url}/ready`)) as { readyEngines: number }).readyEngines;
}

/** Uses its own connection, which is closed afterwards; accepts any certificate. */
export function getText(url: string): Promise<string> {
  const options = { agent: false, rejectUnauthorized: false };
  return new Promise((resolve, reject) => {
    const request = (url.startsWith('https:') ? getTls : get)(url, options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject).on('end', () => resolve(text));
    });
    request.on('error', reject);
  });
}

export async function getJson(url: string): Promise<unknown> {
  return JSON.parse(await getText(url));
}

/** Ends all programs, whatever state they are in. */
export async function endAll(programs: readonly (Program | undefined)[]): Promise<void> {
  await Promise.all(programs.map((program) => program?.end()));
}

export async function script(engine: Program, ways: object): Promise<void> {
  const response = await fetch(`${engine.url}/script`, { method: 'POST', body: JSON.stringify(ways) });
  expect(response.status).toBe(200);
  await response.text();
}

interface ScriptedState {
  readonly open: number;
  readonly served: number;
  readonly foreign: number;
  readonly closedMs: number;
}

export async function stateOf(engine: Program): Promise<ScriptedState> {
  return (await (await fetch(`${engine.url}/state`)).json()) as ScriptedState;
}

interface Rest {
  readonly workers: readonly Readonly<Record<string, unknown>>[];
}

/** Asserts that every load is zero and no request is under way. */
export async function atRest(gateway: Program): Promise<void> {
  const all = async (path: string, fields: readonly string[]): Promise<boolean> => {
    const { workers } = (await getJson(gateway.adminUrl + path)) as Rest;
    return workers.length > 0 && workers.every((worker) => fields.every((field) => worker[field] === 0));
  };
  await eventually(() => all('/loads', ['activeBlocks', 'activePrefillTokens', 'runningRequests']), 10_000);
  await eventually(() => all('/workers', ['requestsInFlight']), 10_000);
}

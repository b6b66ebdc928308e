// Bench of the selection service: processor time of the process for one cycle of reserve, first token and deletion.
//
// The prompts are those of PR #1731: ten prefixes that take half of the prompt, the rest unique. What callers send is
// made before, and they read no more of an answer than its length, so that little time is theirs.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { Random } from '../src/core/index.ts';
import { MockEngines } from './gateway/mock-engines.ts';
import { onRouterCore, processFigures } from './gateway/processor.ts';
import { type Quantiles, quantiles } from './measure.ts';

/** How tokens are written, and how operations are sent. */
export const cycleForms = ['json', 'base64', 'base64 on connections'] as const;
export type CycleForm = (typeof cycleForms)[number];

export interface SelectionSizes {
  readonly engines: number;
  /** Connections with one cycle under way on each. */
  readonly connections: number;
  /** Of each form in each round. */
  readonly cycles: number;
  readonly warmUpCycles: number;
  readonly promptTokens: number;
  readonly rounds: number;
}

export interface CycleFigures {
  readonly form: CycleForm;
  readonly cycles: number;
  /** Of the process; null without Linux's /proc. */
  readonly cpuMsPerCycle: number | null;
  readonly cyclesPerS: number;
  /** Of the reservation, from its first byte to the end of its answer. */
  readonly reserveMs: Quantiles;
}

const prefixCount = 10;
const vocabulary = 128_000;
/** Different prompts; the cycles take turns. */
const promptsMax = 256;
const startMsMax = 60_000;

/** @param dist folder of the compiled kvoyant */
export async function measureSelection(dist: string, sizes: SelectionSizes): Promise<CycleFigures[]> {
  const engines = await MockEngines.start({
    ...{ count: sizes.engines, chunks: 1, chunkMs: 1, lockstep: false },
    tokenize: () => new Uint32Array(0),
  });
  const workers = engines.urls.flatMap((url) => ['--worker', url]);
  const flags = ['--port', '0', '--admin-port', 'none', '--no-canary', '--tokenizer', 'none', '--log-level', 'error'];
  const command = onRouterCore([process.execPath, join(dist, 'cli', 'main.js'), 'select', ...flags, ...workers]);
  const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const url = new URL(await urlOf(child));
    await allJoined(url, sizes.engines);
    const prompts = promptsOf(sizes);
    const figures: CycleFigures[] = [];
    for (const form of cycleForms) {
      await run(url, child.pid!, form, prompts, { ...sizes, cycles: sizes.warmUpCycles });
    }
    for (let round = 0; round < sizes.rounds; round++) {
      for (const form of cycleForms) figures.push(await run(url, child.pid!, form, prompts, sizes));
    }
    const left = await bookedRequests(url);
    if (left !== 0) throw new Error(`${left} requests are still booked`);
    return figures;
  } finally {
    child.kill('SIGKILL');
    await engines.close();
  }
}

async function run(
  url: URL,
  pid: number,
  form: CycleForm,
  prompts: readonly Uint32Array[],
  { connections, cycles }: SelectionSizes,
): Promise<CycleFigures> {
  const bodies = prompts.map((tokens) => Buffer.from(`"tokens":${written(tokens, form)},"max_tokens":100}`));
  const callers = await Promise.all(Array.from({ length: connections }, () => callerOf(url, form)));
  const reserveMs = new Float64Array(cycles);
  let next = 0;
  const work = async (caller: Caller, number: number): Promise<void> => {
    for (;;) {
      const cycle = next++;
      if (cycle >= cycles) return;
      const id = `${number}-${cycle}`;
      const startMs = performance.now();
      await caller.reserve(id, bodies[cycle % bodies.length]!);
      reserveMs[cycle] = performance.now() - startMs;
      await caller.firstToken(id);
      await caller.delete(id);
    }
  };
  const before = processFigures(pid);
  const startMs = performance.now();
  await Promise.all(callers.map(work));
  const tookMs = performance.now() - startMs;
  const after = processFigures(pid);
  for (const caller of callers) caller.close();
  return {
    ...{ form, cycles, cyclesPerS: (1000 * cycles) / tookMs, reserveMs: quantiles(reserveMs) },
    cpuMsPerCycle: before === null || after === null ? null : (1000 * (after.cpuS - before.cpuS)) / cycles,
  };
}

function written(tokens: Uint32Array, form: CycleForm): string {
  return form === 'json' ? JSON.stringify([...tokens]) : `"${Buffer.from(tokens.buffer).toString('base64')}"`;
}

function promptsOf({ promptTokens, cycles }: SelectionSizes): Uint32Array[] {
  const random = new Random(1731);
  const drawn = (count: number): Uint32Array => Uint32Array.from({ length: count }, () => random.below(vocabulary));
  const shared = Math.floor(promptTokens / 2);
  const prefixes = Array.from({ length: prefixCount }, () => drawn(shared));
  return Array.from({ length: Math.min(cycles, promptsMax) }, (_, i) => {
    const prompt = drawn(promptTokens);
    prompt.set(prefixes[i % prefixCount]!);
    return prompt;
  });
}

interface Caller {
  /** @param rest of the body, after the id */
  reserve(id: string, rest: Buffer): Promise<void>;
  firstToken(id: string): Promise<void>;
  delete(id: string): Promise<void>;
  close(): void;
}

async function callerOf(url: URL, form: CycleForm): Promise<Caller> {
  const socket = connect({ port: Number(url.port), host: url.hostname, noDelay: true });
  await once(socket, 'connect');
  return form === 'base64 on connections' ? lineCaller(socket) : requestCaller(socket);
}

/** Each operation is a request of its own, on a kept connection. */
function requestCaller(socket: Socket): Caller {
  const answers = new Answers(socket, endOfResponse);
  const send = (method: string, path: string, ...body: readonly Buffer[]): Promise<void> => {
    const length = body.reduce((sum, { length }) => sum + length, 0);
    const head = `${method} ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${length}\r\n\r\n`;
    socket.write(Buffer.concat([Buffer.from(head), ...body]));
    return answers.next();
  };
  return {
    reserve: (id, rest) => send('POST', '/reserve', Buffer.from(`{"id":"${id}",`), rest),
    firstToken: (id) => send('POST', `/reservations/${id}/first-token`),
    delete: (id) => send('DELETE', `/reservations/${id}?outcome=done`),
    close: () => socket.destroy(),
  };
}

/** Every operation is a line of one request. */
function lineCaller(socket: Socket): Caller {
  socket.write('POST /connection HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n');
  const answers = new Answers(socket, endOfLine);
  const send = (...parts: readonly Buffer[]): Promise<void> => {
    const length = parts.reduce((sum, part) => sum + part.length, 1);
    socket.write(Buffer.concat([Buffer.from(`${length.toString(16)}\r\n`), ...parts, Buffer.from('\n\r\n')]));
    return answers.next();
  };
  return {
    reserve: (id, rest) => send(Buffer.from(`{"op":"reserve","id":"${id}",`), rest),
    firstToken: (id) => send(Buffer.from(`{"op":"first-token","id":"${id}"}`)),
    delete: (id) => send(Buffer.from(`{"op":"delete","id":"${id}"}`)),
    close: () => socket.destroy(),
  };
}

/** Waits for one answer at a time. */
class Answers {
  #text = '';
  #settle: { resolve(): void; reject(error: Error): void } | null = null;

  /** @param endOf end of the first answer in a text; -1: it is not complete */
  constructor(socket: Socket, endOf: (text: string) => number) {
    socket.setEncoding('latin1').on('data', (piece: string) => {
      this.#text += piece;
      const end = endOf(this.#text);
      if (end === -1) return;
      const answer = this.#text.slice(0, end);
      this.#text = this.#text.slice(end);
      const ok = /^HTTP\/1\.1 200|"status":200/.test(answer);
      if (ok) this.#settle?.resolve();
      else this.#settle?.reject(new Error(`refused: ${answer}`));
    });
    socket.on('error', (error) => this.#settle?.reject(error));
    socket.on('close', () => this.#settle?.reject(new Error('the connection was closed')));
  }

  next(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }
}

function endOfResponse(text: string): number {
  const bodyAt = text.indexOf('\r\n\r\n') + 4;
  if (bodyAt === 3) return -1;
  const length = /\r\ncontent-length: (\d+)/i.exec(text);
  const end = bodyAt + Number(length?.[1] ?? 0);
  return text.length >= end ? end : -1;
}

/** The line ends inside of a chunk, after its head and that of the response. */
function endOfLine(text: string): number {
  const at = text.indexOf('}\n\r\n');
  return at === -1 ? -1 : at + 4;
}

/** Its stdout is read on, so that it never blocks. */
function urlOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    child.stdout!.on('data', (bytes: Buffer) => {
      said += bytes.toString();
      const url = /selecting on (\S+)/.exec(said)?.[1];
      if (url !== undefined) resolve(url);
    });
    child.once('exit', () => reject(new Error(`kvoyant select ended: ${said}`)));
  });
}

interface Loads {
  readonly workers: readonly { readonly routable: boolean; readonly runningRequests: number }[];
}

async function loadsOf(url: URL): Promise<Loads> {
  return (await (await fetch(new URL('/loads', url))).json()) as Loads;
}

async function allJoined(url: URL, count: number): Promise<void> {
  const deadlineMs = performance.now() + startMsMax;
  while ((await loadsOf(url)).workers.filter(({ routable }) => routable).length < count) {
    if (performance.now() > deadlineMs) throw new Error('the mock engines did not join');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function bookedRequests(url: URL): Promise<number> {
  return (await loadsOf(url)).workers.reduce((sum, { runningRequests }) => sum + runningRequests, 0);
}

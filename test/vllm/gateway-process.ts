// A `kvoyant serve` process, and its operator routes.

import type { ChildProcess } from 'node:child_process';
import { openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { endProgram, startProgram } from './own-processes.ts';

const readyMsMax = 60_000;
const restMsMax = 30_000;

export interface WorkerState {
  readonly id: string;
  /** Worker name shown to clients. */
  readonly clientId: string;
  readonly url: string;
  readonly state: string;
  readonly trust: { readonly kind: string; readonly reason: string | null; readonly detail: string | null };
  readonly feed: { readonly lastSeq: number } | null;
  readonly requestsInFlight: number;
  /** Result of the canary at joining; null: none yet. */
  readonly canary: { readonly state: string } | null;
}

export interface WorkerLoad {
  readonly id: string;
  readonly url: string;
  readonly activeBlocks: number;
  readonly activePrefillTokens: number;
  readonly runningRequests: number;
  readonly heldBlocks: number;
}

export interface Attempt {
  readonly worker: string;
  readonly isl: number;
  readonly overlapTokens: number;
  readonly candidates: readonly { readonly worker: string; readonly overlapBlocks: number }[];
}

export class GatewayProcess {
  readonly url: string;
  /** URL of the operator routes. */
  readonly adminUrl: string;
  readonly #child: ChildProcess;

  private constructor({ url, adminUrl }: Addresses, child: ChildProcess) {
    this.url = url;
    this.adminUrl = adminUrl;
    this.#child = child;
  }

  /**
   * @param command runs kvoyant
   * @param logFile receives its output
   */
  static async start(
    command: readonly string[],
    workers: readonly string[],
    tokenizer: string,
    logFile: string,
    ...more: readonly string[]
  ): Promise<GatewayProcess> {
    const [program, ...before] = command;
    const args = [...before, 'serve', '--port', '0', '--tokenizer', tokenizer, ...more];
    for (const worker of workers) args.push('--worker', worker);
    const child = await startProgram(program!, args, { stdio: ['ignore', 'pipe', openSync(logFile, 'a')] });
    const gateway = new GatewayProcess(await addressesOf(child, logFile), child);
    await gateway.until('every engine is ready and proved', readyMsMax, async () => {
      const states = await gateway.workers();
      return states.length === workers.length && states.every(isProved);
    });
    return gateway;
  }

  async workers(): Promise<WorkerState[]> {
    return (await this.#get<{ workers: WorkerState[] }>('/workers')).workers;
  }

  async loads(): Promise<WorkerLoad[]> {
    return (await this.#get<{ workers: WorkerLoad[] }>('/loads')).workers;
  }

  /** The record of the request's last attempt. */
  async decision(requestId: string): Promise<Attempt> {
    return (await this.#get<{ decisions: Attempt[] }>(`/decisions/${requestId}`)).decisions[0]!;
  }

  /** Everything recorded about the request, as text. */
  async story(requestId: string): Promise<string> {
    return (await fetch(`${this.adminUrl}/decisions/${requestId}`)).text();
  }

  /** @throws Error with `what` if the condition does not hold in time */
  async until(what: string, msMax: number, isSo: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + msMax;
    while (!(await isSo())) {
      if (performance.now() > endMs) throw new Error(`not within ${msMax / 1000} s: ${what}`);
      await sleep(50);
    }
  }

  /** Waits until no request is under way. @returns false if one still is after half a minute */
  async rests(): Promise<boolean> {
    try {
      await this.until('no request is under way', restMsMax, async () => (await this.loads()).every(isZero));
      return true;
    } catch {
      return false;
    }
  }

  end(): Promise<void> {
    return endProgram(this.#child);
  }

  async #get<T>(path: string): Promise<T> {
    const response = await fetch(this.adminUrl + path);
    if (response.status !== 200) throw new Error(`GET ${path} answers ${response.status}: ${await response.text()}`);
    return (await response.json()) as T;
  }
}

export function isProved({ state, canary }: WorkerState): boolean {
  return state === 'ready' && canary?.state === 'sound';
}

function isZero({ activeBlocks, activePrefillTokens, runningRequests }: WorkerLoad): boolean {
  return activeBlocks === 0 && activePrefillTokens === 0 && runningRequests === 0;
}

interface Addresses {
  readonly url: string;
  readonly adminUrl: string;
}

function addressesOf(child: ChildProcess, logFile: string): Promise<Addresses> {
  return new Promise((resolve, reject) => {
    let said = '';
    child.once('exit', (code) => reject(new Error(`kvoyant serve ended with code ${code}; see ${logFile}`)));
    child.stdout!.on('data', (data: Buffer) => {
      said += data.toString('utf8');
      const found = /for operators at (\S+)[\s\S]*listening on (\S+)/.exec(said);
      if (found !== null) resolve({ adminUrl: found[1]!, url: found[2]! });
    });
  });
}

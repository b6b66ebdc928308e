// A kvoyant command as a child process that ends with this process.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** Lines of output kept to explain a failure. */
const outputLinesMax = 40;
const stopGraceMs = 3000;

/** Preloaded into the child: ends it when the channel to the parent closes, even if the parent was killed. */
const endWithParent = `data:text/javascript,${encodeURIComponent(
  "process.on('disconnect', () => process.exit()); process.channel?.unref();",
)}`;

const running = new Set<ChildProcess>();

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class DemoProgram {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #listeners = new Set<(line: string) => void>();
  readonly #ended: Promise<never>;
  #stopping = false;

  /** @param script the program to run with `args` @param name for messages */
  constructor(name: string, script: string, args: readonly string[]) {
    this.#name = name;
    this.#child = spawn(process.execPath, ['--import', endWithParent, script, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // Own process group: Ctrl-C reaches only this process, which then stops the program cleanly.
      detached: true,
      env: withoutOurSettings(process.env),
    });
    running.add(this.#child);
    this.#child.once('exit', () => running.delete(this.#child));
    this.#read(this.#child.stdout!);
    this.#read(this.#child.stderr!);
    this.#ended = new Promise((_, reject) => {
      this.#child.once('error', (error) => reject(new Error(`${name} could not be started: ${error.message}`)));
      this.#child.once('close', (code, signal) => {
        const output = this.#lines.map((line) => `\n  ${line}`).join('');
        reject(new Error(`${name} ended with ${signal ?? `exit code ${code}`}; its last output:${output}`));
      });
    });
    // `died` may have no listener when the program ends.
    this.#ended.catch(() => {});
  }

  /** Rejects with the last output if the program ends before it is stopped. */
  get died(): Promise<never> {
    return this.#ended.catch((error: unknown) =>
      this.#stopping ? new Promise<never>(() => {}) : Promise.reject(error),
    );
  }

  /** Waits for the first `count` matching lines. @throws Error if the program ends or the time is over */
  async lines(pattern: RegExp, count: number, timeoutMs: number): Promise<RegExpExecArray[]> {
    const matches: RegExpExecArray[] = [];
    let stopWaiting = (): void => {};
    const found = new Promise<RegExpExecArray[]>((resolve, reject) => {
      const take = (line: string): void => {
        const match = pattern.exec(line);
        if (match !== null && matches.push(match) === count) resolve(matches);
      };
      for (const line of this.#lines) take(line);
      this.#listeners.add(take);
      const timer = setTimeout(() => {
        const said = this.#lines.at(-1) ?? 'nothing';
        reject(new Error(`${this.#name} was not ready within ${timeoutMs} ms; it last said: ${said}`));
      }, timeoutMs);
      stopWaiting = () => {
        clearTimeout(timer);
        this.#listeners.delete(take);
      };
    });
    try {
      return await Promise.race([found, this.#ended]);
    } finally {
      stopWaiting();
    }
  }

  /** Sends SIGTERM, then SIGKILL after a grace. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), stopGraceMs);
    await exited;
    clearTimeout(timer);
  }

  #read(stream: Readable): void {
    createInterface({ input: stream }).on('line', (line) => {
      this.#lines.push(line);
      if (this.#lines.length > outputLinesMax) this.#lines.shift();
      for (const listener of this.#listeners) listener(line);
    });
  }
}

/** Removes kvoyant's variables, so that a user's own settings do not change a comparison. */
function withoutOurSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('KVOYANT_')));
}

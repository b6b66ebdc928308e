// Programs that this one starts: each leads a process group of its own, and none outlives this one.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';

/** An engine needs two seconds to end in order. */
const endMsMax = 10_000;

const running = new Set<ChildProcess>();

/** @throws Error if it can't be started */
export async function startProgram(
  command: string,
  args: readonly string[],
  options: SpawnOptions,
): Promise<ChildProcess> {
  const child = spawn(command, args, { ...options, detached: true });
  await once(child, 'spawn');
  running.add(child);
  // A leader that dies leaves its workers behind.
  child.once('exit', () => killProgram(child));
  return child;
}

/** Asks it to end, and makes it end. */
export async function endProgram(child: ChildProcess): Promise<void> {
  if (!running.has(child)) return;
  const timer = setTimeout(() => killProgram(child), endMsMax);
  const exited = once(child, 'exit');
  signalGroup(child, 'SIGTERM');
  await exited;
  clearTimeout(timer);
}

/** Ends all of its group at once, as a crash of the machine would. */
export function killProgram(child: ChildProcess): void {
  signalGroup(child, 'SIGKILL');
  running.delete(child);
}

/** As `killProgram`; returns when it is gone. */
export async function crashProgram(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  killProgram(child);
  await exited;
}

/** Whatever ends this program, ends those that it has started. */
export function endWithThisProgram(): void {
  process.on('exit', () => {
    for (const child of running) signalGroup(child, 'SIGKILL');
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => process.exit(128 + constants.signals[signal]));
  }
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid!, signal);
  } catch (error) {
    // All of the group has ended.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

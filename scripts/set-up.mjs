// Installs the dependencies once, before `npm start` and `npm test`.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Runs a command in the project's root. If it fails, ends this process with its exit code. */
export function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' });
  if (result.error) {
    console.error(`kvoyant: could not run ${command}: ${result.error.message}`);
    process.exit(1);
  }
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** Runs `npm ci` in a folder, unless its node_modules was installed from the same lock file. */
export function install(folder = root) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`kvoyant needs Node >= 20.19; this is ${process.versions.node}`);
    process.exit(1);
  }
  const stamp = join(folder, 'node_modules', '.kvoyant-lock');
  const lock = createHash('sha256')
    .update(readFileSync(join(folder, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  console.error(`kvoyant: installing dependencies (npm ci in ${folder})`);
  run('npm', ['ci', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
  writeFileSync(stamp, lock);
}

/** Runs a program of node_modules/.bin. */
export function bin(name, args) {
  run(join(root, 'node_modules', '.bin', process.platform === 'win32' ? `${name}.cmd` : name), args);
}

// `npm run test:otel`: builds an OpenTelemetry collector with Go, once, and sends it spans and metrics.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { bin, install, root } from './set-up.mjs';

const source = join(root, 'test', 'otel', 'collector');
const files = ['main.go', 'go.mod'];

/** @returns the program; it is built again only when its source has changed */
function collector() {
  const hash = createHash('sha256');
  for (const name of files) hash.update(readFileSync(join(source, name)));
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const folder = join(cache, 'kvoyant', `collector-${hash.digest('hex').slice(0, 16)}`);
  const program = join(folder, 'collector');
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true });
  for (const name of files) cpSync(join(source, name), join(folder, name));
  console.error(`kvoyant: building an OpenTelemetry collector in ${folder} (some minutes)`);
  for (const args of [
    ['mod', 'tidy'],
    ['build', '-o', 'collector', '.'],
  ]) {
    const { error, status } = spawnSync('go', args, { cwd: folder, stdio: 'inherit' });
    if (error !== undefined) {
      console.error('kvoyant: the collector is built by Go (https://go.dev), which is not installed');
      process.exit(1);
    }
    if (status !== 0) process.exit(status ?? 1);
  }
  return program;
}

install();
process.env.KVOYANT_COLLECTOR = collector();
bin('vitest', ['run', 'test/otel']);

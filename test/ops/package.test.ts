// The package as users get it: packed, installed into an empty folder, run.

import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LockFile, releasePackages } from '../../scripts/bill-of-materials.mjs';
import { eventually } from '../e2e/harness.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
};
const { version } = manifest;
const lock = JSON.parse(readFileSync(`${root}package-lock.json`, 'utf8')) as LockFile;
const installMsMax = 300_000;

let folder: string;
let app: string;
let packed: { readonly filename: string; readonly files: readonly { readonly path: string }[] };
/** Why the package can't be installed here; null: it is. */
let missing: string | null = null;

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly complaint: string;
}

function run(cwd: string, program: string, ...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(program, args, { cwd, maxBuffer: 64 * 1024 * 1024 }, (error, out, complaint) =>
      resolve({ code: Number(error?.code ?? 0), out, complaint }),
    );
  });
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kvoyant-package-'));
  app = mkdtempSync(join(folder, 'app-'));
  const made = await run(root, 'npm', 'pack', '--json', '--pack-destination', folder);
  expect([made.code, made.complaint.includes('ERR!')]).toEqual([0, false]);
  [packed] = JSON.parse(made.out.slice(made.out.indexOf('['))) as [typeof packed];
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const install = (...more: string[]): Promise<Ran> =>
    run(app, 'npm', 'install', ...flags, ...more, join(folder, packed.filename));
  const offline = await install('--offline');
  if (offline.code === 0) return;
  const online = await install('--prefer-offline', '--fetch-retries=0');
  if (online.code === 0) return;
  // Without registry and cache nothing can be said; any other failure is one.
  if (!/ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|network/.test(online.complaint)) {
    throw new Error(`npm install failed: ${online.complaint}`);
  }
  missing = 'no registry, and not all packages are in the cache of npm';
  console.warn(`the package is not installed: ${missing}`);
}, installMsMax);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the package', () => {
  it('has what it needs to run and to be looked at, and nothing else', () => {
    const paths = packed.files.map(({ path }) => path);
    for (const path of [
      ...[
        'dist/cli/main.js',
        'dist/core/index.d.ts',
        'dist/gateway/fronts/front-entry.js',
        'dist/dashboard/index.html',
      ],
      ...['dist/sbom.cdx.json', 'dist/licences.md', 'LICENSE', 'ops/Dockerfile'],
    ]) {
      expect(paths).toContain(path);
    }
    expect(paths.filter((path) => /^(src|test|bench|node_modules|scripts)\/|\.env$|-key\.pem$/.test(path))).toEqual([]);
  });

  it('is installed with the packages that its bill of materials lists, those it names itself in these versions', ({
    skip,
  }) => {
    skip(missing !== null, missing ?? '');
    const installed = JSON.parse(readFileSync(join(app, 'package-lock.json'), 'utf8')) as LockFile;
    const listed = releasePackages(lock).packages.filter(({ inPage }) => !inPage);
    const found = Object.entries(installed.packages)
      .filter(([path]) => path.includes('node_modules/') && !path.endsWith('node_modules/kvoyant'))
      .map(([path, one]) => [path.slice(path.lastIndexOf('node_modules/') + 13), one.version] as const);
    expect([...new Set(found.map(([name]) => name))].sort()).toEqual(
      [...new Set(listed.map(({ name }) => name))].sort(),
    );
    // npm chooses the versions of indirect ones anew, and does not apply our overrides for others.
    for (const [name, exact] of Object.entries(manifest.dependencies)) expect(found).toContainEqual([name, exact]);
  });

  it('tells its version', async ({ skip }) => {
    skip(missing !== null, missing ?? '');
    const { code, out } = await run(app, join(app, 'node_modules/.bin/kvoyant'), '--version');
    expect([code, out.trim()]).toEqual([0, version]);
  });

  it('serves a completion of a simulated engine, with its page', async ({ skip }) => {
    skip(missing !== null, missing ?? '');
    const kvoyant = join(app, 'node_modules/.bin/kvoyant');
    const children: ReturnType<typeof spawn>[] = [];
    const start = (...args: string[]): { out: string } => {
      const said = { out: '' };
      const child = spawn(kvoyant, args, { cwd: app, stdio: ['ignore', 'pipe', 'pipe'] });
      children.push(child);
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (bytes) => {
          said.out += bytes;
        });
      }
      return said;
    };
    const urlIn = async (said: { out: string }, form: RegExp): Promise<string> => {
      await eventually(() => form.test(said.out), 60_000);
      return form.exec(said.out)![1]!;
    };
    try {
      const engine = await urlIn(
        start('sim-worker', '--port', '0', '--model', 'packed'),
        /(http:\/\/127\.0\.0\.1:\d+)/,
      );
      const serve = start('serve', '--worker', engine, '--port', '0', '--tokenizer', 'builtin', '--no-rehearse');
      const gateway = await urlIn(serve, /listening on (http:\S+)/);
      const operators = await urlIn(serve, /for operators at (http:\S+)/);
      await eventually(async () => (await fetch(`${gateway}/ready`)).status === 200, 60_000);
      const answer = await fetch(`${gateway}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'packed', prompt: 'hello', max_tokens: 4 }),
      });
      expect([answer.status, await answer.json()]).toMatchObject([200, { usage: { completion_tokens: 4 } }]);
      expect((await fetch(`${operators}/dashboard/`)).status).toBe(200);
    } finally {
      for (const child of children) child.kill('SIGKILL');
    }
  }, 180_000);
});

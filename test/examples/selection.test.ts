// The examples of docs/selection.md run as printed, against a gateway with the selection service.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import type { FakeEngine } from '../e2e/fake-engine.ts';
import { Harness } from '../e2e/harness.ts';
import { TemporaryFolder } from '../gateway/temporary-folder.ts';

const page = readFileSync(fileURLToPath(new URL('../../docs/selection.md', import.meta.url)), 'utf8');

/** The one block of code in a language. */
function example(language: string): string {
  const blocks = [...page.matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter(([, name]) => name === language);
  expect(blocks).toHaveLength(1);
  return blocks[0]![2]!;
}

function has(program: string, ...args: string[]): boolean {
  const found = spawnSync(program, args, { stdio: 'ignore' }).status === 0;
  if (!found) console.log(`${program} is not installed: its example in docs/selection.md is not run`);
  return found;
}

const goPath = existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : 'go';
const key = 'proxy-secret-00000000001';

let harness: Harness;
let folder: TemporaryFolder;
let gateway: Gateway;
let engines: FakeEngine[];
beforeEach(async () => {
  harness = new Harness();
  folder = new TemporaryFolder();
  engines = await harness.engines(2);
});
afterEach(async () => {
  folder.remove();
  await harness.end();
});

async function start(apiKeys: readonly object[] = []): Promise<void> {
  gateway = await harness.gateway({
    ...{ workers: engines.map(({ url }) => url), selection: true },
    apiKeys: apiKeys as never,
  });
}

/** Runs a program to its end. @returns what it printed */
function run(program: string, ...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, KVOYANT: gateway.url, KVOYANT_KEY: key },
    });
    let output = '';
    let errors = '';
    child.stdout.on('data', (data) => {
      output += data;
    });
    child.stderr.on('data', (data) => {
      errors += data;
    });
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(output) : reject(new Error(`exit code ${code}: ${errors}`))));
  });
}

async function ended(): Promise<string[]> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  return text.split('\n').filter((line) => line.startsWith('kvoyant_reservations_ended_total'));
}

const curlHere = has('bash', '-c', 'curl --version');
it.skipIf(!curlHere)('that of curl reserves, reports and deletes', async () => {
  await start();
  const output = await run('bash', '-e', folder.write('example.sh', example('bash')));
  expect(output).toContain('"id":"r1","leaseS":600,"worker":"');
  expect(output).toContain('"state":"decode","outputTokens":[20]');
  expect(output).toContain('{"id":"r1","deleted":"now"}');
  expect(await ended()).toEqual(['kvoyant_reservations_ended_total{end="done"} 1']);
});

const pythonHere = has('python3', '--version');
it.skipIf(!pythonHere)('that of Python streams from the engine and reports', async () => {
  await start([{ name: 'proxy', key, selection: true }]);
  const usage = { prompt_tokens: 3, completion_tokens: 40, prompt_tokens_details: { cached_tokens: 0 } };
  for (const engine of engines) {
    engine.behaviour = ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let i = 0; i < 40; i++) response.write(`data: {"choices":[{"index":0,"text":"word "}]}\n\n`);
      response.end(`data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`);
    };
  }
  const file = folder.write('example.py', example('python'));
  expect(await run('python3', file, 'Hello there')).toBe(`${'word '.repeat(40)}\n`);
  const { decisions } = (await (await fetch(`${gateway.adminUrl}/decisions`)).json()) as { decisions: object[] };
  expect(decisions).toMatchObject([{ outputTokens: 40, outcome: 'done' }]);
  expect(engines.flatMap(({ requests }) => requests).map(({ path }) => path)).toEqual(['/v1/completions']);
  expect(await ended()).toEqual(['kvoyant_reservations_ended_total{end="done"} 1']);
  // An engine that fails: nothing stays booked either.
  for (const engine of engines) engine.behaviour = ({ response }) => response.writeHead(500).end();
  await expect(run('python3', file, 'Hello there')).rejects.toThrow('HTTP Error 500');
  expect(await ended()).toContain('kvoyant_reservations_ended_total{end="failed"} 1');
});

const goHere = has(goPath, 'version');
it.skipIf(!goHere)(
  'that of Go does it on one connection',
  async () => {
    await start([{ name: 'proxy', key, selection: true }]);
    const output = await run(goPath, 'run', folder.write('main.go', example('go')));
    expect(output).toMatch(/^send it to http:\/\/127\.0\.0\.1:\d+\n$/);
    expect(await ended()).toEqual(['kvoyant_reservations_ended_total{end="done"} 1']);
  },
  // Go may compile its own library first.
  600_000,
);

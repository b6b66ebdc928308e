import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

interface Running {
  readonly child: ChildProcess;
  readonly url: string;
  readonly stderr: string[];
}

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Resolves when the program prints its address. */
async function start(...args: string[]): Promise<Running> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  const stderr: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => stderr.push(line));
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /listening on (http:\S+)/.exec(line)?.[1];
    if (url !== undefined) return { child, url, stderr };
  }
  throw new Error(`${args[0]} ended before it listened: ${stderr.join('\n')}`);
}

async function stop({ child }: Running): Promise<void> {
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  await closed;
}

it('a gateway with default settings and its engines write only log lines to stderr, no Node warnings', async () => {
  const engine = await start('sim-worker', '--port', '0', '--speedup', '1000');
  const gateway = await start('serve', '--worker', engine.url, '--port', '0');
  while ((await fetch(`${gateway.url}/ready`)).status !== 200) await new Promise((r) => setTimeout(r, 20));
  const request = { model: 'sim-llama-3.1-8b', prompt: 'hello', max_tokens: 4, stream: true };
  const answers = Array.from({ length: 64 }, async () => {
    const body = JSON.stringify(request);
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${gateway.url}/v1/completions`, { method: 'POST', headers, body });
    expect(await response.text()).toMatch(/data: \[DONE\]\n\n$/);
  });
  await Promise.all(answers);
  await stop(gateway);
  await stop(engine);
  expect(engine.stderr).toEqual([]);
  expect(gateway.stderr.length).toBeGreaterThan(0);
  expect(gateway.stderr.filter((line) => !line.startsWith('{'))).toEqual([]);
}, 60_000);

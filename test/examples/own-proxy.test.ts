// The README's example of an embedder's own proxy runs as printed and keeps a prompt with its cache.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';

const example = fileURLToPath(new URL('../../examples/own-proxy.mjs', import.meta.url));
const readme = fileURLToPath(new URL('../../README.md', import.meta.url));

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** An engine that answers with its name. */
async function engine(name: string): Promise<string> {
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => response.end(JSON.stringify({ name })));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close().closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

it('is the same in the README and in the file', () => {
  const code = readFileSync(example, 'utf8').split('\n').slice(1).join('\n').trimStart();
  expect(readFileSync(readme, 'utf8')).toContain(`\`\`\`js\n${code}\`\`\``);
});

it('routes equal prompts to the engine that has them, and others to the rest', async () => {
  const engines = [await engine('a'), await engine('b'), 'http://127.0.0.1:1'];
  const child: ChildProcess = spawn(process.execPath, [example, '0', ...engines], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  closers.push(() => child.kill());
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  const port = /listening on (\d+)/.exec(line.toString())?.[1];
  const ask = async (first: number): Promise<{ status: number; name: string | null }> => {
    const prompt = Array.from({ length: 200 }, (_, i) => first + i);
    const body = JSON.stringify({ prompt, max_tokens: 1 });
    const answer = await fetch(`http://127.0.0.1:${port}/v1/completions`, { method: 'POST', body });
    return { status: answer.status, name: answer.ok ? ((await answer.json()) as { name: string }).name : null };
  };
  const answers = new Map<string | null, number>();
  for (let first = 0; first < 6000; first += 1000) {
    const { status, name } = await ask(first);
    answers.set(name, (answers.get(name) ?? 0) + 1);
    expect(status).toBe(name === null ? 502 : 200);
    // The engine that answered holds the prompt from now on.
    if (name !== null) for (let again = 0; again < 3; again++) expect((await ask(first)).name).toBe(name);
  }
  expect(answers.get('a')).toBeGreaterThan(0);
  expect(answers.get('b')).toBeGreaterThan(0);
});

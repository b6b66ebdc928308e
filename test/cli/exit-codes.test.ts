// Exit codes of the program, as docs/operations.md lists them.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { FakeEngine, openStream, sendToken } from '../e2e/fake-engine.ts';

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'kvoyant-exit-'));
afterAll(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, 'good.yaml'), 'workers: [http://127.0.0.1:1]\n');
writeFileSync(join(folder, 'bad.yaml'), 'workers: [http://127.0.0.1:1]\nport: many\n');

const started = (...args: string[]) =>
  spawnSync(process.execPath, [program, ...args], { encoding: 'utf8', cwd: folder, timeout: 60_000 });

it.each<[number, string[]]>([
  [0, ['--version']],
  [0, ['--help']],
  [0, ['help', 'serve']],
  [0, ['check', 'good.yaml']],
  [0, ['key', 'alice']],
  [0, ['completion', 'bash']],
  [1, []],
  [1, ['serv']],
  [1, ['serve', '--no-such-flag']],
  [1, ['serve', '--port', 'many']],
  [1, ['serve', '--config', 'missing.yaml']],
  [1, ['check', 'bad.yaml']],
  [1, ['key', 'a name that is not one']],
  [1, ['doctor', '--worker', 'http://127.0.0.1:1', '--timeout-s', '1']],
  [1, ['top', 'http://127.0.0.1:1']],
  [1, ['lab', 'stats', 'missing.jsonl']],
  [1, ['sim-worker', '--count', 'many']],
  [1, ['completion', 'csh']],
])('%i: kvoyant %j', (code, args) => {
  const { status, stdout, stderr } = started(...args);
  expect([status, stderr]).toEqual([code, code === 0 && args[0] !== 'key' ? '' : stderr]);
  // What went wrong is said in words, not by a stack.
  if (code !== 0) expect(stdout + stderr).toMatch(/\S/);
  expect(stderr).not.toMatch(/\n\s+at /);
});

it('--version is that of the package', () => {
  expect(started('--version').stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

it('3: kvoyant serve that broke off answers', async () => {
  const engine = await FakeEngine.start();
  engine.behaviour = (request) => {
    openStream(request);
    sendToken(request, 'a');
  };
  const args = ['serve', '--worker', engine.url, '--port', '0', '--admin-port', 'none', '--shutdown-grace-ms', '50'];
  const child = spawn(process.execPath, [program, ...args, '--no-rehearse', '--no-canary', '--tokenizer', 'none'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    let said = '';
    let url: string | undefined;
    for await (const text of child.stdout.setEncoding('utf8')) {
      said += text;
      url = /listening on (\S+)/.exec(said)?.[1];
      if (url !== undefined) break;
    }
    const chat = JSON.stringify({ model: 'fake', messages: [{ role: 'user', content: 'x' }], stream: true });
    const ask = () =>
      fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: chat,
      });
    let answer = await ask();
    for (let i = 0; answer.status !== 200 && i < 100; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      answer = await ask();
    }
    await answer.body!.getReader().read();
    child.kill('SIGTERM');
    expect((await once(child, 'exit'))[0]).toBe(3);
  } finally {
    child.kill('SIGKILL');
    await engine.close();
  }
});

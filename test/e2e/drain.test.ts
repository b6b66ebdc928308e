// Shutdown of a gateway: by a call, and of a process by a signal.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TemporaryFolder } from '../gateway/temporary-folder.ts';
import { endStream, type FakeEngine, type FakeRequest, openStream, sendToken, streamTokens } from './fake-engine.ts';
import { chatBody, eventually, Harness, post } from './harness.ts';

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

let harness: Harness;
let folder: TemporaryFolder;
const children: ChildProcess[] = [];
beforeEach(() => {
  harness = new Harness();
  folder = new TemporaryFolder();
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await harness.end();
  folder.remove();
});

const stream = (gateway: { url: string }) =>
  post(gateway as Parameters<typeof post>[0], '/v1/chat/completions', { ...chatBody, stream: true });

/** Requests wait until the test continues them. */
function hold(engine: FakeEngine): FakeRequest[] {
  const held: FakeRequest[] = [];
  engine.behaviour = (request) => {
    openStream(request);
    sendToken(request, 'a');
    held.push(request);
  };
  return held;
}

describe('close', () => {
  it('is not ready at once, accepts requests for shutdownNoticeMs, then no more connections', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], shutdownNoticeMs: 2000, shutdownGraceMs: 5000 });
    const held = hold(engine);
    const running = stream(gateway);
    await eventually(() => held.length === 1);
    const closed = gateway.close();
    const ready = await fetch(`${gateway.url}/ready`);
    expect([ready.status, await ready.json()]).toMatchObject([503, { ready: false, stopping: true, readyEngines: 1 }]);
    expect((await fetch(`${gateway.url}/health`)).status).toBe(200);
    engine.behaviour = (request) => streamTokens(request, 1);
    expect((await stream(gateway)).body).toContain('[DONE]');
    await eventually(async () => (await fetch(`${gateway.url}/health`).catch(() => null)) === null);
    endStream(held[0]!, 5, 1);
    expect((await running).body).toContain('[DONE]');
    await closed;
    expect(await gateway.reload(() => ({ workers: [engine.url] }))).toBe(null);
  });
});

describe('kvoyant serve', () => {
  interface Served {
    readonly child: ChildProcess;
    readonly url: string;
    readonly adminUrl: string;
    readonly log: () => string;
  }

  async function serve(yaml: string, environment: Record<string, string> = {}): Promise<Served> {
    const file = folder.write('k.yaml', yaml);
    const child = spawn(process.execPath, [program, 'serve', '--config', file], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, KVOYANT_CANARY: 'false', ...environment },
    });
    children.push(child);
    let [out, log] = ['', ''];
    child.stdout!.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stderr!.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    await eventually(() => {
      if (child.exitCode !== null) throw new Error(`it ended: ${log}`);
      return out.includes('listening');
    }, 20_000);
    const url = /listening on (\S+)/.exec(out)![1]!;
    await eventually(async () => (await fetch(`${url}/ready`)).status === 200);
    const adminUrl = /for operators at (\S+)/.exec(out)![1]!;
    return { child, url, adminUrl, log: () => log };
  }

  it('lets streams end after SIGTERM, and exits with 0', async () => {
    const engine = await harness.engine();
    const held = hold(engine);
    const served = await serve(`workers: [${engine.url}]\nport: 0\nshutdownGraceMs: 20000\n`);
    const running = stream(served);
    await eventually(() => held.length === 1);
    const exited = once(served.child, 'exit');
    served.child.kill('SIGTERM');
    await eventually(async () => (await fetch(`${served.url}/health`).catch(() => null)) === null);
    expect(served.child.exitCode).toBe(null);
    sendToken(held[0]!, 'b');
    endStream(held[0]!, 5, 2);
    expect((await running).body).toContain('[DONE]');
    expect(await exited).toEqual([0, null]);
  });

  it('reports answers not ended by the deadline to clients, the log and the exit code', async () => {
    const engine = await harness.engine();
    const held = hold(engine);
    const served = await serve(`workers: [${engine.url}]\nport: 0\nshutdownGraceMs: 100\n`);
    const running = stream(served);
    await eventually(() => held.length === 1);
    engine.behaviour = () => undefined;
    const whole = fetch(`${served.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(chatBody) });
    await eventually(() => engine.requests.length === 2);
    const exited = once(served.child, 'exit');
    served.child.kill('SIGTERM');
    const { body } = await running;
    expect(body).toContain('"code":"shutting_down"');
    const answer = await whole;
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).not.toBe(null);
    expect(await answer.json()).toMatchObject({ error: { code: 'shutting_down' } });
    expect(await exited).toEqual([3, null]);
    expect(served.log()).toContain('"brokenOffAnswers":2');
    await eventually(() => engine.aborted === 2);
  });

  it('reads its file again on SIGHUP and after a change; a bad file changes nothing and is reported', async () => {
    const [a, b] = (await harness.engines(2)) as [FakeEngine, FakeEngine];
    const served = await serve(`workers: [${a.url}]\nport: 0\n`, { KVOYANT_SEED: '7' });
    const urls = async () => {
      const { workers } = (await (await fetch(`${served.adminUrl}/workers`)).json()) as { workers: { url: string }[] };
      return workers.map(({ url }) => url);
    };
    folder.write('k.yaml', `workers: [${a.url}]\nport: 0\nbodyBytesMax: many\n`);
    served.child.kill('SIGHUP');
    await eventually(() => /k\.yaml:3: bodyBytesMax must be an integer/.test(served.log()));
    expect(await urls()).toEqual([a.url]);
    // Changed without a signal.
    folder.write('k.yaml', `workers: [${b.url}]\nport: 0\nseed: 8\npolicy: random\n`);
    await eventually(async () => (await urls()).join() === b.url, 10_000);
    expect(served.log()).toMatch(/"settings":\["policy"\],"msg":"settings not changed; they need a restart/);
    await eventually(async () => (await fetch(`${served.url}/ready`)).status === 200);
    expect((await stream(served)).body).toContain('[DONE]');
    expect(b.requests).toHaveLength(1);
  });
});

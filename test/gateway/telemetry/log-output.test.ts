import { type StdioOptions, spawn } from 'node:child_process';
import { existsSync, openSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LogOutput, passLines } from '../../../src/gateway/telemetry/log-output.ts';
import { FakeEngine } from '../../e2e/fake-engine.ts';
import { eventually } from '../../e2e/harness.ts';

type Done = (error: NodeJS.ErrnoException | null, written: number) => void;

/** A descriptor that takes what a test lets it take. */
class Disk {
  text = '';
  #asked: { readonly bytes: Buffer; readonly done: Done } | null = null;
  readonly output: LogOutput;

  constructor(bufferBytesMax?: number) {
    this.output = new LogOutput({
      fd: -1,
      ...(bufferBytesMax !== undefined && { bufferBytesMax }),
      writeBytes: (_fd, bytes, offset, length, _position, done) => {
        this.#asked = { bytes: bytes.subarray(offset, offset + length), done };
      },
    });
  }

  get asked(): boolean {
    return this.#asked !== null;
  }

  take(bytesMax = Number.POSITIVE_INFINITY): void {
    const { bytes, done } = this.#asked!;
    this.#asked = null;
    const taken = bytes.subarray(0, bytesMax);
    this.text += taken.toString('latin1');
    done(null, taken.length);
  }

  fail(code: string): void {
    const { done } = this.#asked!;
    this.#asked = null;
    done(Object.assign(new Error(code), { code }), 0);
  }
}

describe('the output of the log', () => {
  it('has every line once and in order, however little is taken at a time', () => {
    const step = fc.oneof(fc.string({ maxLength: 40 }), fc.constant('x'.repeat(5000)), fc.integer({ min: 1, max: 90 }));
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const disk = new Disk();
        let given = '';
        for (const one of steps) {
          if (typeof one === 'string') {
            given += Buffer.from(`${one}\n`).toString('latin1');
            disk.output.write(`${one}\n`);
          } else if (disk.asked) disk.take(one);
        }
        while (disk.asked) disk.take();
        expect([disk.text, disk.output.lostLines]).toEqual([given, 0]);
      }),
    );
  });

  it('goes on where a disk was full or a pipe took no more', async () => {
    const disk = new Disk();
    disk.output.write('first\n');
    disk.output.write('second\n');
    disk.take(2);
    for (const code of ['EAGAIN', 'ENOSPC', 'EAGAIN']) {
      disk.fail(code);
      expect(disk.asked).toBe(false);
      await eventually(() => disk.asked, 10_000);
    }
    while (disk.asked) disk.take();
    expect(disk.text).toBe('first\nsecond\n');
  });

  it('loses lines beyond its limit, counts them, and says so in the log', () => {
    const disk = new Disk(100);
    const line = `${'x'.repeat(39)}\n`;
    // The first one is taken at once, two wait.
    for (let i = 0; i < 6; i++) disk.output.write(line);
    expect(disk.output.lostLines).toBe(3);
    while (disk.asked) disk.take();
    disk.output.write('again\n');
    while (disk.asked) disk.take();
    const [told, last] = disk.text.slice(3 * line.length).split('\n');
    expect([JSON.parse(told!), last]).toMatchObject([{ level: 40, lines: 3 }, 'again']);
  });
});

it('passes on the lines of another process whole, and those without an end at its end', async () => {
  const from = new PassThrough();
  const lines: string[] = [];
  passLines(from, { write: (line) => void lines.push(line) });
  for (const text of ['{"a":', '1}\n{"b":2}\n\n', 'é'.repeat(40_000), 'é'.repeat(40_000), '\nlast']) from.write(text);
  from.end();
  await eventually(() => lines.at(-1) === 'last\n');
  expect(lines.slice(0, 3)).toEqual(['{"a":1}\n', '{"b":2}\n', '\n']);
  expect(lines.slice(3).join('').replaceAll('\n', '')).toBe(`${'é'.repeat(80_000)}last`);
});

const command = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
const full = '/dev/full';
/** More lines than a pipe holds. */
const unreadRequests = 800;
const atOnce = 25;

describe('a gateway whose log', () => {
  async function served(stderr: 'pipe' | number, flags: readonly string[], requests: number): Promise<void> {
    const engine = await FakeEngine.start();
    const args = ['--port', '0', '--worker', engine.url, '--no-canary', '--no-rehearse', '--log-requests', ...flags];
    const stdio: StdioOptions = ['ignore', 'pipe', stderr];
    // What it writes to a pipe is never read.
    const gateway = spawn(process.execPath, [command, 'serve', ...args], { stdio });
    let out = '';
    gateway.stdout!.on('data', (bytes: Buffer) => {
      out += bytes.toString('utf8');
    });
    const exited = new Promise((resolve) => gateway.once('exit', resolve));
    try {
      await eventually(() => /listening on http/.test(out), 60_000);
      const [, url] = /listening on (http\S+)/.exec(out)!;
      await eventually(async () => (await fetch(`${url}/ready`)).status === 200, 30_000);
      const body = JSON.stringify({ model: 'fake', messages: [{ role: 'user', content: 'x' }], stream: true });
      const headers = { 'content-type': 'application/json', 'x-request-id': 'x'.repeat(256) };
      const ask = async (): Promise<boolean> => {
        const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body });
        return (await answer.text()).endsWith('data: [DONE]\n\n');
      };
      for (let i = 0; i < requests; i += atOnce) {
        const answers = await Promise.all(Array.from({ length: atOnce }, ask));
        expect(answers).not.toContain(false);
      }
      gateway.kill('SIGTERM');
      expect(await exited).toBe(0);
    } finally {
      gateway.kill('SIGKILL');
      await engine.close();
    }
  }

  it.skipIf(!existsSync(full))(
    'can not be written starts, serves and ends in order',
    async () => {
      await served(openSync(full, 'w'), [], atOnce);
    },
    180_000,
  );

  it.each([
    ['', []],
    [', with threads,', ['--threads', '2', '--tokenizer', 'builtin', '--trust-tokenizer']],
  ])(
    'is not read%s serves and ends in order',
    async (_, flags) => {
      await served('pipe', flags, unreadRequests);
    },
    180_000,
  );
});

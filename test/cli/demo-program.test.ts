import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DemoProgram } from '../../src/cli/demo-program.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kvoyant-demo-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

let scripts = 0;
function program(source: string, args: readonly string[] = []): DemoProgram {
  const script = join(folder, `${scripts++}.mjs`);
  writeFileSync(script, source);
  return new DemoProgram('probe', script, args);
}

const keepRunning = 'setInterval(() => {}, 1000);';

describe('DemoProgram', () => {
  it('finds awaited lines on either stream, including earlier ones', async () => {
    const probe = program(
      `for (const port of process.argv.slice(2)) console.log('listening on ' + port); console.error('ready'); ${keepRunning}`,
      ['81', '82'],
    );
    await probe.lines(/ready/, 1, 10_000);
    const matches = await probe.lines(/listening on (\d+)/, 2, 10_000);
    expect(matches.map((match) => match[1])).toEqual(['81', '82']);
    await probe.stop();
  });

  it('fails with the last output of a program that ends by itself', async () => {
    const probe = program(`console.error('no such worker'); process.exit(3);`);
    await expect(probe.lines(/never/, 1, 10_000)).rejects.toThrow(
      'probe ended with exit code 3; its last output:\n  no such worker',
    );
    await expect(probe.died).rejects.toThrow('exit code 3');
    await probe.stop();
  });

  it('gives up on a program that does not become ready', async () => {
    const probe = program(`console.log('still loading'); ${keepRunning}`);
    await probe.lines(/loading/, 1, 10_000);
    await expect(probe.lines(/ready/, 1, 30)).rejects.toThrow('not ready within 30 ms; it last said: still loading');
    await probe.stop();
  });

  it('stops a program cleanly without reporting a failure', async () => {
    const probe = program(
      `process.on('SIGTERM', () => { console.log('bye'); process.exit(0); }); console.log('up'); ${keepRunning}`,
    );
    await probe.lines(/up/, 1, 10_000);
    let failure: unknown = null;
    probe.died.catch((error: unknown) => {
      failure = error;
    });
    await probe.stop();
    await probe.stop();
    expect(failure).toBeNull();
  });

  it('kills a program that does not stop', async () => {
    const probe = program(`process.on('SIGTERM', () => {}); console.log(process.pid); ${keepRunning}`);
    const [match] = await probe.lines(/^(\d+)$/, 1, 10_000);
    await probe.stop();
    expect(() => process.kill(Number(match![1]), 0)).toThrow('ESRCH');
  });
});

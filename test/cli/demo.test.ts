import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DemoFigures } from '../../src/cli/demo-session.ts';
import type { Summary } from '../../src/report/summary.ts';
import { natsProgram } from '../gateway/peers/nats-server.ts';

const programPath = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const smallRun = ['--speedup', '50', '--workers', '4', '--seed', '7'];

beforeAll(() => {
  if (!existsSync(programPath)) throw new Error('this test runs the built program: npm run build');
});

let running: ChildProcess | null = null;
afterEach(() => {
  running?.kill('SIGKILL');
  running = null;
});

function demo(...args: string[]): ChildProcess {
  running = spawn(process.execPath, [programPath, 'demo', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  return running;
}

/** Runs a tiny workload and waits for the gateway that keeps serving. */
async function servingDemo(): Promise<{ program: ChildProcess; gateway: string; addresses: string[] }> {
  const program = demo('pr1731', '--rows', 'kv', '--scale', '0.001', '--port', '0', ...smallRun);
  let gateway: string | undefined;
  for await (const line of createInterface({ input: program.stdout! })) {
    gateway ??= /^Serving on (http:\S+),/.exec(line)?.[1];
    const operators = /^Also: (http:\S+)\/workers/.exec(line)?.[1];
    if (gateway === undefined || operators === undefined) continue;
    const { workers } = (await (await fetch(`${operators}/workers`)).json()) as { workers: { url: string }[] };
    return { program, gateway, addresses: [gateway, operators, ...workers.map(({ url }) => url)] };
  }
  throw new Error('the demonstration ended before it served');
}

async function expectGone(addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    for (let tries = 0; await answers(address); tries++) {
      if (tries === 100) throw new Error(`${address} still answers`);
      await sleep(50);
    }
  }
}

async function answers(address: string): Promise<boolean> {
  return await fetch(`${address}/health`).then(
    () => true,
    () => false,
  );
}

describe('kvoyant demo', () => {
  it.skipIf(natsProgram() === null)(
    'sends the burst through one gateway, three that share, and three that do not',
    async () => {
      const program = demo('cluster', '--scale', '0.0625', ...smallRun);
      let printed = '';
      program.stdout!.setEncoding('utf8').on('data', (text: string) => {
        printed += text;
      });
      const [code] = await once(program, 'exit');
      expect(printed).not.toContain('PROBLEM');
      expect(code).toBe(0);
      for (const row of ['one gateway', 'three, sharing', 'three, not sharing']) {
        expect(printed).toMatch(new RegExp(`^${row} .* 0$`, 'm'));
      }
    },
  );

  it('runs real requests through gateway and engines: none fails, no load remains, equal prefixes meet', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kvoyant-demo-'));
    const file = join(folder, 'figures.json');
    const program = demo('--once', '--json', file, '--rows', 'round-robin,foresee', '--scale', '0.125', ...smallRun);
    let printed = '';
    program.stdout!.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
    const [code] = await once(program, 'exit');
    const figures = JSON.parse(readFileSync(file, 'utf8')) as DemoFigures;
    rmSync(folder, { recursive: true });
    expect(printed).not.toContain('PROBLEM');
    expect(code).toBe(0);
    for (const [workload, requests, maxTokens] of [
      ['burst', 128, 64],
      ['pr1731', 23, 100],
    ] as const) {
      const rows = figures[workload]!;
      expect(Object.keys(rows)).toEqual(['round-robin', 'foresee']);
      for (const row of Object.values(rows)) {
        expect(row).toMatchObject({ requests, failed: 0 });
        expect(row.loadsAfter.workers).toHaveLength(4);
        for (const { id: _, ...load } of row.loadsAfter.workers) {
          expect(load).toEqual({ activeBlocks: 0, activePrefillTokens: 0, runningRequests: 0 });
        }
        const spread = (summary: Summary) => summary.p99 - summary.p50;
        for (const summary of [row.ttftMs, row.itlMs, row.e2eMs]) expect(spread(summary)).toBeGreaterThanOrEqual(0);
        // The gaps of a request sum up to the time from its first to its last token.
        expect(row.e2eMs.mean).toBeGreaterThanOrEqual(row.ttftMs.mean + (maxTokens - 1) * row.itlMs.mean * 0.999);
        expect(row.prefillMaxOverMean).toBeGreaterThanOrEqual(1);
      }
      expect(rows.foresee!.prefixHitRate).toBeGreaterThanOrEqual(rows['round-robin']!.prefixHitRate);
    }
    // Two prompts per group, so half of the shared tokens can be hits.
    expect(figures.burst!.foresee!.prefixHitRate).toBeGreaterThan(0.3);
    expect(figures.burst!['round-robin']!.prefixHitRate).toBeLessThan(0.3);
  });

  it('keeps serving until Ctrl-C, then exits and closes its ports', async () => {
    const { program, gateway, addresses } = await servingDemo();
    const response = await fetch(`${gateway}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'Hello', max_tokens: 3, ignore_eos: true }),
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ usage: { completion_tokens: 3 } });
    program.kill('SIGINT');
    expect(await once(program, 'exit')).toEqual([0, null]);
    await expectGone(addresses);
  });

  it('leaves no process behind when it is killed', async () => {
    const { program, addresses } = await servingDemo();
    expect(addresses).toHaveLength(6);
    program.kill('SIGKILL');
    await expectGone(addresses);
  });
});

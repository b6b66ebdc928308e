import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type DemoFigures, type DemoOptions, runDemo } from '../../src/cli/demo-session.ts';
import { Progress } from '../../src/report/progress.ts';
import { eventually } from '../e2e/harness.ts';

const fakeProgram = fileURLToPath(new URL('./fake-kvoyant.mjs', import.meta.url));

afterEach(() => {
  vi.unstubAllEnvs();
});

interface Session {
  readonly code: number;
  readonly printed: string;
  readonly figures: DemoFigures | null;
}

async function session(options: Partial<DemoOptions>, fault = ''): Promise<Session> {
  vi.stubEnv('FAKE_FAULT', fault);
  const printed: string[] = [];
  let figures: DemoFigures | null = null;
  const code = await runDemo({
    script: fakeProgram,
    workloads: ['pr1731'],
    rows: ['round-robin', 'kv'],
    workers: 2,
    speedup: 100,
    seed: 1,
    scale: 0.05,
    serveOn: false,
    traffic: false,
    port: 0,
    signal: new AbortController().signal,
    print: (line) => printed.push(line),
    progress: new Progress({ write: () => {} }, () => performance.now()),
    writeJson: async (written) => {
      figures = written;
    },
    ...options,
  });
  return { code, printed: printed.join('\n'), figures };
}

describe('runDemo', () => {
  it('runs every row and reports what clients and engines counted', async () => {
    const { code, printed, figures } = await session({});
    expect(code).toBe(0);
    expect(Object.keys(figures?.pr1731 ?? {})).toEqual(['round-robin', 'kv']);
    const row = figures!.pr1731!.kv!;
    expect(row).toMatchObject({ requests: 9, failed: 0, prefixHitRate: 0.5, prefillTokensMax: 5 });
    expect(row.prefillMaxOverMean).toBeCloseTo(5 / 4.5, 9);
    expect(row.loadsAfter.workers).toHaveLength(2);
    for (const { id, ...load } of row.loadsAfter.workers) {
      expect(id).toContain('http://127.0.0.1');
      expect(load).toEqual({ activeBlocks: 0, activePrefillTokens: 0, runningRequests: 0 });
    }
    for (const summary of [row.ttftMs, row.itlMs, row.e2eMs]) {
      expect(Object.keys(summary)).toEqual(['mean', 'p50', 'p99']);
      expect(summary.p99).toBeGreaterThanOrEqual(summary.p50);
    }
    expect(printed).toMatch(/^round-robin( +[\d.]+){10} +0\.500 +5 +1\.11 +0$/m);
    expect(printed).toMatch(/^PR #1731: .*; at 100 times real speed$/m);
    expect(printed).not.toContain('kv-late-booking');
  });

  it.each([
    ['refuse', /PROBLEM {2}pr1731, kv: 2 x status: HTTP 503: no worker is ready/],
    ['leak', /PROBLEM {2}pr1731, kv: loads are not zero at rest: .*"runningRequests":1/],
    ['lie', /PROBLEM {2}pr1731, kv: the engines counted 0 of 9 prompt tokens as cached, the streams report 9 of 18/],
  ])('ends with exit code 1 and a reason on %s', async (fault, reason) => {
    const { code, printed, figures } = await session({ rows: ['kv'] }, fault);
    expect(code).toBe(1);
    expect(printed).toMatch(reason);
    expect(figures?.pr1731?.kv?.failed).toBe(fault === 'refuse' ? 2 : 0);
  });

  it('reports a busy machine below the table and in the figures', async () => {
    const slow = await session({ rows: ['kv'], speedup: 100 }, 'slow');
    expect(slow.code).toBe(0);
    // Steps of one simulated second at 100 times real speed take 10 ms.
    expect(slow.figures!.pr1731!.kv!.machine).toMatchObject({ stepMs: 10, tooBusy: true });
    expect(slow.figures!.pr1731!.kv!.machine.stepLateMs).toBeCloseTo(20, 6);
    expect(slow.printed.replace(/\s+/g, ' ')).toContain(
      "time for kv. Worst was kv: the engines' steps of 10.0 ms ended 20.0 ms late on average",
    );
  });

  it('fails at once if the engines end by themselves', async () => {
    await expect(session({ rows: ['kv'] }, 'crash')).rejects.toThrow('sim-worker ended with exit code 7');
  });

  it('ends a hanging start at the signal', async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 300);
    await expect(session({ signal: stop.signal }, 'mute')).rejects.toThrow('sim-worker ended with SIGTERM');
  });

  it('serves on another port if its own is taken, until the signal', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const stop = new AbortController();
    const printed: string[] = [];
    const code = await runToServing({ port, signal: stop.signal }, printed, async (url) => {
      expect((await fetch(`${url}/v1/models`)).status).toBe(200);
      stop.abort();
    });
    taken.close();
    expect(code).toBe(0);
    expect(printed.join('\n')).toContain(`Port ${port} is taken; another one is used.`);
    expect(printed.join('\n')).toContain('"model":"fake"');
  });
});

it('keeps light traffic going until the signal, and says so in one line', async () => {
  const stop = new AbortController();
  const printed: string[] = [];
  const code = await runToServing({ signal: stop.signal, traffic: true }, printed, async (url) => {
    await eventually(async () => Number(await (await fetch(`${url}/served`)).text()) >= 2);
    stop.abort();
  });
  expect(code).toBe(0);
  expect(printed.filter((line) => /^Light traffic goes on, on average 0\.5 requests a second/.test(line))).toHaveLength(
    1,
  );
});

/** Runs a session that keeps serving; `use` gets the gateway's address once it is printed. */
async function runToServing(
  options: Partial<DemoOptions>,
  printed: string[],
  use: (url: string) => Promise<void>,
): Promise<number> {
  let used: Promise<void> = Promise.resolve();
  const { code } = await session({
    workloads: [],
    serveOn: true,
    ...options,
    print: (line) => {
      printed.push(line);
      const match = /^Serving on (http:\S+),/.exec(line);
      if (match !== null) used = use(match[1]!);
    },
  });
  await used;
  return code;
}

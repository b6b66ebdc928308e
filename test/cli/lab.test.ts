// The lab's commands: stored figures, comparisons that resume, errors in one line.

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { CommanderError } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { labCommand } from '../../src/cli/lab.ts';
import type { Capacity } from '../../src/cli/lab-capacity-of.ts';
import { ResultsFolder } from '../../src/cli/lab-results.ts';
import { answer } from '../../src/cli/lab-thread.ts';
import { type Execute, LabThreads } from '../../src/cli/lab-threads.ts';
import type { WorkloadSpec } from '../../src/cli/lab-workload.ts';
import { type LabJob, parsePolicySpec, type RunResult, runSpecDefaults, toJson } from '../../src/lab/index.ts';

let folder: string;
let printed: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvoyant-lab-'));
  printed = [];
  vi.spyOn(console, 'log').mockImplementation((line = '') => void printed.push(String(line)));
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
});

afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

async function lab(...args: string[]): Promise<void> {
  const command = labCommand();
  for (const one of [command, ...command.commands]) one.exitOverride();
  await command.parseAsync(args, { from: 'user' });
}

const spec: WorkloadSpec = {
  name: 'gsp-4x256',
  file: null,
  seed: 1,
  requests: 60,
  arrivals: { kind: 'own' },
  jitterMs: 0,
  traceBlockTokens: null,
  tokenizer: 'builtin',
};

const job = (policy: string): LabJob & { kind: 'run' } => ({
  kind: 'run',
  spec: toJson({ ...runSpecDefaults, policy: parsePolicySpec(policy) }),
  speed: 1,
});

describe('lab run', () => {
  it('writes the same figures for the same seed, and an HTML page', async () => {
    const files = ['a.json', 'b.json'].map((name) => join(folder, name));
    const page = join(folder, 'page.html');
    const args = ['run', '--workload', 'zipf', '--requests', '80', '--rate', '12', '--policy', 'round-robin,kv'];
    for (const file of files) await lab(...args, '--json', file, '--html', page);
    const [first, second] = await Promise.all(files.map((file) => readFile(file, 'utf8')));
    expect(first).toBe(second);
    const { runs } = JSON.parse(first!) as { runs: RunResult[] };
    expect(runs.map((run) => run.spec.policy)).toEqual(['round-robin', 'kv']);
    expect(runs[1]!.workload).toMatchObject({ name: 'zipf', requests: 80 });
    expect(runs[1]!.measured).toMatchObject({ requests: 72, failed: 0 });
    expect(printed.some((line) => line.startsWith('kv  '))).toBe(true);
    expect(await readFile(page, 'utf8')).toContain('<title>kvoyant lab: zipf</title>');
  });

  it('reads a gzipped trace, and takes the KV capacity from it', async () => {
    const trace = join(folder, 'my-trace.jsonl.gz');
    const line = (timestamp: number, ids: number[]): string =>
      JSON.stringify({ timestamp, input_length: ids.length * 512, output_length: 5, hash_ids: ids });
    const lines = [line(0, [0, 1, 2]), line(500, [0, 1, 3]), line(1500, [0, 1, 2])];
    await writeFile(trace, gzipSync(`${lines.join('\n')}\n`));
    const json = join(folder, 'run.json');
    await lab('run', '--workload', trace, '--warmup', '0', '--workers', '1', '--json', json);
    const { runs } = JSON.parse(await readFile(json, 'utf8')) as { runs: RunResult[] };
    expect(runs[0]!.workload.name).toBe('my-trace.jsonl');
    expect(runs[0]!.spec.kvTokens).toBe(2_000_000);
    // 1,024 tokens of the second prompt, and all of the third except the block that must be computed.
    expect(runs[0]!.cache.hitRate).toBeCloseTo((1024 + 1520) / (3 * 1536), 6);
    expect(runs[0]!.cache.ceilingReached).toBe(1);
  });

  it('compares trace files in addition to shipped workloads', async () => {
    const trace = join(folder, 'own.jsonl');
    const lines = Array.from({ length: 40 }, (_, at) =>
      JSON.stringify({
        timestamp: at * 300,
        input_length: 1024,
        output_length: 20,
        hash_ids: [at % 4, 100 + (at % 8)],
      }),
    );
    await writeFile(trace, `${lines.join('\n')}\n`);
    const args = ['--workloads', 'gsp-1x1024', '--policies', 'round-robin,kv', '--seeds', '1', '--threads', '1'];
    await lab('compare', trace, ...args, '--requests', '40', '--out', folder);
    const { runs } = JSON.parse(await readFile(join(folder, 'compare.json'), 'utf8')) as { runs: RunResult[] };
    expect(runs.map(({ workload }) => workload.name)).toEqual(['gsp-1x1024', 'gsp-1x1024', 'own.jsonl', 'own.jsonl']);
  });

  it.each([
    [['run', '--workload', 'no-such'], 'workload "no-such" is neither a file nor one of pr1731-fixed'],
    [['run', '--workload', 'zipf', '--policy', 'best'], '"best" is none of '],
    [['run', '--workload', 'zipf', '--policy', 'kv,kv'], 'kv is given twice'],
    [['run', '--workload', 'zipf', '--workers', '0'], 'integer from 1 to 1024'],
    [['run', '--workload', 'zipf', '--rate', '3', '--speed', '2'], 'cannot be used with option'],
    [['run', '--workload', 'zipf', '--kv-tokens', '1000000000'], 'exceed what the lab can simulate'],
    [['run', '--workload', 'zipf', '--kv-tokens', '16', '--block-size', '17'], 'hold no block'],
    [['compare', '--loads', '0.5,,0.9'], 'An item of the list is empty'],
    [['compare', '--seeds', '8-4'], 'a range like 4-8'],
    [['compare', '--profiles', 'a100'], 'a100 is none of l40s-llama8b'],
    [['run', '--workload', 'zipf', '--slow-down', 'worker=8,from=0,until=1,factor=2'], 'there is no worker 8'],
    [['run', '--workload', 'zipf', '--slow-down', 'worker=1,from=0.5,until=0.4,factor=2'], '0 <= from < until <= 1'],
    [['run', '--workload', 'zipf', '--slow-down', 'worker=1,at=0.5'], '"at" is none of worker, from, until, factor'],
    [['run', '--workload', 'zipf', '--slow-down', 'worker=1,from=0.1,until=0.4'], 'factor must be'],
    [['capacity', '--workloads', 'gsp-64x16', '--policies', 'kv', '--seeds', '1'], 'all requests arrive at once'],
  ])('reports a fault in one line: %s', async (args, message) => {
    const out = args[0] === 'run' ? [] : ['--out', folder];
    const failure = await lab(...args, ...out).then(
      () => null,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(CommanderError);
    expect((failure as CommanderError).message).toContain(message);
  });
});

describe('lab compare', () => {
  it('runs every cell once, on threads, and resumes after an interruption', async () => {
    const args = ['compare', '--workloads', 'zipf,gsp-4x256', '--requests', '100', '--seeds', '2', '--out', folder];
    await lab(...args, '--policies', 'round-robin,kv', '--loads', '0.5,0.9', '--threads', '2');
    const jobs = await readdir(join(folder, 'jobs'));
    // Zipf at two loads and the burst; two policies and two seeds each.
    expect(jobs.filter((name) => name.startsWith('run-')).length).toBe(2 * 2 * 2 + 2 * 2);
    expect(jobs.filter((name) => name.startsWith('probe-zipf-round-robin')).length).toBeGreaterThan(6);
    const report = await readFile(join(folder, 'report.html'), 'utf8');
    expect(report).toContain('TTFT over load');
    // Zipf at two loads, the burst, and the row of the summary.
    expect(printed.filter((line) => line.startsWith('kv  '))).toHaveLength(4);
    expect(printed.join('\n')).toContain('gsp-4x256: all requests at once');
    const before = printed.splice(0);
    await lab(...args, '--policies', 'round-robin,kv', '--loads', '0.5,0.9', '--threads', '1');
    expect(printed).toEqual(before);
    expect(await readdir(join(folder, 'jobs'))).toEqual(jobs);
    await lab(...args, '--policies', 'round-robin,kv,lmetric', '--loads', '0.5,0.9', '--threads', '1');
    expect(await readdir(join(folder, 'jobs'))).toHaveLength(jobs.length + 6);
  });
});

describe('a grid of lab compare', () => {
  it('runs every workload on every cluster with the seeds of a range, and sums it up', async () => {
    const args = ['compare', '--workloads', 'zipf,gsp-4x256', '--requests', '60', '--seeds', '4-5', '--out', folder];
    const policies = ['--policies', 'round-robin,what-if:told=on,kv'];
    await lab(...args, ...policies, '--workers', '2,3', '--profiles', 'l40s-llama8b,dynamo-poly', '--threads', '2');
    const { runs } = JSON.parse(await readFile(join(folder, 'compare.json'), 'utf8')) as { runs: RunResult[] };
    expect(runs).toHaveLength(2 * 2 * 2 * 3 * 2);
    expect(new Set(runs.map(({ spec }) => spec.seed))).toEqual(new Set([4, 5]));
    expect(
      new Set(runs.map(({ spec }) => `${spec.workers} ${spec.profile} ${spec.kvTokens} ${spec.stepTokensMax}`)),
    ).toEqual(
      new Set([
        '2 l40s-llama8b 186000 2048',
        '3 l40s-llama8b 186000 2048',
        '2 dynamo-poly 1048576 8192',
        '3 dynamo-poly 1048576 8192',
      ]),
    );
    expect(printed[0]).toMatch(/^Mean TTFT \/ round-robin's over all 4 rows with a rate: /);
    expect(printed.join('\n')).toContain('all 4 bursts');
    expect(printed.join('\n')).toContain('zipf, 3 workers, dynamo-poly: 0.9 of round robin');
  }, 60_000);

  it('puts a slow-down into the runs and not into the load', async () => {
    const args = ['compare', '--workloads', 'prefix-free', '--requests', '80', '--seeds', '1', '--out', folder];
    const cluster = ['--workers', '2', '--speeds', '1,0.5', '--kv-tokens', '90000,60000'];
    await lab(...args, ...cluster, '--policies', 'round-robin,kv', '--threads', '2');
    const load = printed.find((line) => line.startsWith('prefix-free: '));
    printed.length = 0;
    const slow = ['--slow-down', 'worker=1,from=0.3,until=0.9,factor=4'];
    await lab(...args, ...cluster, ...slow, '--policies', 'round-robin,kv,kv:slow-worker=drained', '--threads', '2');
    expect(printed.find((line) => line.startsWith('prefix-free: '))).toBe(load);
    expect(printed.join('\n')).toContain('1 of speed 0.5, 60,000 KV tokens, slow for a while');
    expect(printed.join('\n')).toContain('Settled: seconds after its start');
    expect(await readFile(join(folder, 'report.html'), 'utf8')).toContain('p99 TTFT over time');
  }, 60_000);
});

describe('lab paper', () => {
  it('plots the three experiments and the contrasting workloads', async () => {
    const plots = join(folder, 'plots');
    await lab('paper', '--requests', '100', '--workers', '2', '--plots', plots, '--out', folder, '--threads', '2');
    const names = (await readdir(plots)).sort();
    expect(names.filter((name) => name.startsWith('pr1731-')).length).toBe(3 * 2 * 2);
    expect(names.filter((name) => name.endsWith('-hit-rate.svg')).length).toBe(5);
    for (const name of names) {
      const svg = await readFile(join(plots, name), 'utf8');
      expect(svg.startsWith('<svg ') && svg.endsWith('</svg>\n')).toBe(true);
    }
    expect(printed.join('\n')).toContain('pr1731-isl (ISL varied), block 16, 64 requests in flight');
    // Half a minute of work on an idle machine.
  }, 180_000);
});

describe('lab capacity', () => {
  interface Row {
    readonly policy: string;
    readonly capacity: Capacity;
  }

  async function capacities(): Promise<Row[]> {
    const { capacities: rows } = JSON.parse(await readFile(join(folder, 'capacity.json'), 'utf8')) as {
      capacities: Row[];
    };
    return rows;
  }

  it("finds each policy's capacity, never above the bound, and marks runs that are too short", async () => {
    const args = ['--workloads', 'zipf', '--requests', '300', '--workers', '2', '--seeds', '2', '--out', folder];
    await lab('capacity', ...args, '--policies', 'round-robin,what-if', '--threads', '1');
    const [roundRobin, whatIf] = (await capacities()).map(({ capacity }) => capacity) as [Capacity, Capacity];
    expect(whatIf.speed).toBeGreaterThan(roundRobin.speed);
    expect(whatIf.speedBound).toBe(roundRobin.speedBound);
    for (const { speed, failsFrom, speedBound, judged, probes } of [roundRobin, whatIf]) {
      expect(speed).toBeLessThanOrEqual(speedBound);
      expect(failsFrom === null || failsFrom > speed).toBe(true);
      expect(judged).toMatchObject({ verdict: 'short', requests: 300 });
      for (const probe of probes) expect(probe.speed).toBeLessThanOrEqual(speedBound);
    }
    expect(printed.join('\n')).toContain('the run is too short to tell what lasts');
    expect(await readFile(join(folder, 'capacity.html'), 'utf8')).toContain('TTFT up to the capacity');
  });

  it('reports that the seeds of a trace are one sample, and that its KV capacity exceeds the card', async () => {
    const trace = join(folder, 'own.jsonl');
    const lines = Array.from({ length: 60 }, (_, at) =>
      JSON.stringify({ timestamp: at * 1000, input_length: 512, output_length: 2, hash_ids: [at % 4] }),
    );
    await writeFile(trace, `${lines.join('\n')}\n`);
    const args = ['--workloads', trace, '--policies', 'kv', '--workers', '1', '--threads', '1', '--out', folder];
    await lab('capacity', ...args, '--seeds', '2');
    const text = printed.join('\n');
    expect(text).toContain('seeds 1 to 2 replay the same trace');
    expect(text).toContain('2,000,000 KV tokens are 262 GB');
    printed.splice(0);
    await lab('capacity', ...args, '--seeds', '1', '--kv-tokens', '20000');
    expect(printed.join('\n')).not.toMatch(/replay the same trace|GB/);
  });
});

describe('before the input is read nothing is written', () => {
  it.each([
    ['compare', 'nope.json', '--workloads', 'zipf'],
    ['capacity', '--workloads', 'nope.json'],
    ['capacity', '--workloads', 'gsp-64x16'],
    ['compare', '--workloads', 'gsp-64x16', '--kv-tokens', '1000000000'],
    ['compare', '--workloads', 'gsp-64x16', '--kv-tokens', '16', '--block-size', '64'],
    ['paper', '--mooncake', 'nope.json'],
  ])('%s %s %s %s', async (...args) => {
    const out = join(folder, 'results');
    const plots = args[0] === 'paper' ? ['--plots', join(folder, 'plots')] : [];
    await expect(lab(...args, '--out', out, ...plots)).rejects.toBeInstanceOf(CommanderError);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('ResultsFolder', () => {
  it('executes a job once, and again if its file is damaged or of another job', async () => {
    let executed = 0;
    const execute: Execute = async (workload, asked) => {
      executed++;
      const reply = await answer({ id: 0, workload, job: asked });
      if (reply.kind === 'failed') throw new Error(reply.message);
      return reply.result as never;
    };
    const open = (): Promise<ResultsFolder> => ResultsFolder.open(folder, execute);
    const first = await (await open()).execute(spec, job('kv'));
    expect(await (await open()).execute(spec, job('kv'))).toEqual(first);
    expect(executed).toBe(1);
    await (await open()).execute(spec, job('lmetric'));
    await (await open()).execute({ ...spec, seed: 2 }, job('kv'));
    expect(executed).toBe(3);
    const [name] = await readdir(join(folder, 'jobs'));
    await writeFile(join(folder, 'jobs', name!), '{"version": 1, "workl');
    await (await open()).execute(spec, job('kv'));
    await (await open()).execute(spec, job('lmetric'));
    await (await open()).execute({ ...spec, seed: 2 }, job('kv'));
    expect(executed).toBe(4);
  });
});

describe('LabThreads', () => {
  it('gives the same answers with any number of threads, and reports errors', async () => {
    const threads = new LabThreads(2);
    try {
      const policies = ['kv', 'round-robin', 'lmetric'];
      const [done, failed] = await Promise.all([
        Promise.all(policies.map((policy) => threads.execute(spec, job(policy)))),
        threads.execute({ ...spec, name: 'nothing' }, job('kv')).then(
          () => null,
          (error: Error) => error.message,
        ),
      ]);
      for (const [at, policy] of policies.entries()) {
        expect(await answer({ id: 0, workload: spec, job: job(policy) })).toMatchObject({ result: done[at] });
      }
      expect(failed).toContain('workload nothing is not shipped');
    } finally {
      await threads.close();
    }
  });
});

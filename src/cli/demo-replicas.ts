// `kvoyant demo cluster`: the burst through one gateway, through three that share, and through three that do not.

import { request } from 'undici';
import { z } from 'zod';
import { formatNumber } from '../report/text-table.ts';
import { wrapText } from '../report/wrap-text.ts';
import { loadTokenizer } from '../tokens/load-tokenizer.ts';
import type { Cluster } from './demo-cluster.ts';
import { loadsAreZero } from './demo-gateway.ts';
import { machineWarning } from './demo-machine.ts';
import { columnNotes, resultTable } from './demo-report.ts';
import { type RowResult, runRow } from './demo-run.ts';
import type { DemoOptions } from './demo-session.ts';
import { demoWorkloads, noteColumns, rowFlags } from './demo-workloads.ts';
import { findNats, type NatsProgram, natsAdvice, startNats } from './nats-program.ts';

const replicaCount = 3;
const hearTimeoutMs = 15_000;
const pollMs = 50;

const replicaRows = ['one gateway', 'three, sharing', 'three, not sharing'] as const;
type ReplicaRow = (typeof replicaRows)[number];

const note =
  'Each request goes to the next gateway in turn, as behind a load balancer. Gateways that share count the requests of ' +
  'each other as load, and the prefixes of prompts that others have just sent as cached. Gateways that do not share ' +
  'see a third of the load, and send the same prefix to different engines.';

/** @returns the exit code: 1 if a request failed or a load was not zero at the end @throws Error with advice without NATS */
export async function runReplicasDemo(options: DemoOptions): Promise<number> {
  const { print, progress } = options;
  const program = findNats((line) => progress.note(line));
  if (program === null) throw new Error(natsAdvice);
  progress.note(`kvoyant: ${options.workers} simulated engines behind one and three gateways, over HTTP and NATS`);
  const codec = await loadTokenizer('builtin');
  const results = new Map<string, RowResult>();
  const workload = demoWorkloads.burst;
  let nats: NatsProgram | null = null;
  try {
    nats = await startNats(program);
    progress.update('writing prompts');
    const requests = await workload.generate(codec, options.seed, options.scale);
    for (const [at, row] of replicaRows.entries()) {
      const label = `${row} (${at + 1} of ${replicaRows.length})`;
      progress.update(`${label}: starting ${options.workers} engines and the gateways`);
      const result = await runRow({
        ...options,
        port: 0,
        gatewayCount: row === 'one gateway' ? 1 : replicaCount,
        gatewayFlags: [...rowFlags.foresee, ...(row === 'three, sharing' ? sharingFlags(nats) : [])],
        ...(row === 'three, sharing' && { settled: whenAllHear }),
        requests,
        onProgress: ({ done, failed, total }) =>
          progress.update(`${label}: ${done} of ${total} done${failed > 0 ? `, ${failed} FAILED` : ''}`),
      });
      results.set(row, result);
      progress.note(`${label}: ${formatNumber(result.run.makespanMs / 1000, 1)} s`);
    }
  } finally {
    await nats?.stop();
    await codec.close();
  }
  const warning = machineWarning(new Map([...results].map(([row, { machine }]) => [row, machine])));
  const warningLines = warning === null ? [] : ['', ...wrapText(warning, noteColumns, '  ')];
  const lines = ['', workload.title, '', ...resultTable(results), ...warningLines, ''];
  for (const line of [...lines, ...wrapText(note, noteColumns, ''), '', ...columnNotes]) print(line);
  const problems = [...results].flatMap(([row, result]) => problemsOf(row as ReplicaRow, result));
  for (const problem of problems) print(`PROBLEM  ${problem}`);
  return problems.length === 0 ? 0 : 1;
}

function sharingFlags({ url }: NatsProgram): string[] {
  return ['--nats', url, '--cluster', 'demo', '--replicas', String(replicaCount)];
}

const clusterAnswer = z.object({ replicasHeard: z.number() });

/** Waits until every gateway hears the others. @throws Error if that takes too long */
async function whenAllHear({ operators }: Cluster): Promise<void> {
  const deadlineMs = performance.now() + hearTimeoutMs;
  for (;;) {
    const heard = await Promise.all(
      operators.map(async (url) => {
        const { body } = await request(new URL('/cluster', url));
        return clusterAnswer.parse(await body.json()).replicasHeard;
      }),
    );
    if (heard.every((count) => count === replicaCount)) return;
    if (performance.now() > deadlineMs) throw new Error('the gateways did not hear each other over NATS');
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

function problemsOf(row: ReplicaRow, { problems, loadsAfter }: RowResult): string[] {
  const rest = loadsAreZero(loadsAfter) ? [] : [`loads are not zero at rest: ${JSON.stringify(loadsAfter.workers)}`];
  return [...problems, ...rest].map((text) => `${row}: ${text}`);
}

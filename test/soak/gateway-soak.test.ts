import { expect, it } from 'vitest';
import { formatTable } from '../../src/report/text-table.ts';
import { type GatewaySoakReport, soakGateway } from './gateway-soak.ts';

/** Set by `npm run soak:gateway`. */
const minutes = process.env['KVOYANT_SOAK_GATEWAY_MINUTES'];
const seed = Number(process.env['KVOYANT_SOAK_SEED'] ?? 1);
const mebi = 1024 * 1024;

/** In the short run the heap still grows: compiled code, metrics, decision records. */
const options =
  minutes === undefined
    ? { durationMs: 20_000, requestsPerS: 40, engineCount: 4, killEveryMs: 5000, growthBytesMax: 48 * mebi, seed }
    : {
        durationMs: Number(minutes) * 60_000,
        requestsPerS: 200,
        engineCount: 8,
        killEveryMs: 20_000,
        growthBytesMax: 24 * mebi,
        seed,
      };

function rowsOf(report: GatewaySoakReport): string[][] {
  const { requests, unsent, completed, left, lost, kills, ttftP50Ms, ttftP99Ms, residentBytes, probes } = report;
  return [
    ['requests', `${requests} in ${options.durationMs / 60_000} min`, ''],
    ['not sent: too many open already', `${unsent}`, '0, on a machine that is fast enough'],
    ['complete', `${completed}`, 'all but the following'],
    ['clients that left', `${left}`, ''],
    ['streams cut with an error event', `${lost} in ${kills} kills of an engine`, 'only streams with tokens'],
    ['failed otherwise', `${requests - completed - left - lost}`, '0'],
    ['TTFT p50 / p99', `${ttftP50Ms.toFixed(0)} / ${ttftP99Ms.toFixed(0)} ms`, ''],
    ['/health p99', `${probes.p99Ms.toFixed(0)} ms of ${probes.count}`, '100 ms'],
    [
      'memory, median of each third',
      `${residentBytes.map((bytes) => (bytes / mebi).toFixed(0)).join(', ')} MB`,
      `last third + ${options.growthBytesMax / mebi} MB at most`,
    ],
    ['loads at the end', '0', '0'],
  ];
}

it(
  `serves ${options.requestsPerS} requests a second for ${options.durationMs / 1000} s while engines are killed and clients leave`,
  async () => {
    const report = await soakGateway(options);
    expect(report.kills).toBeGreaterThan(0);
    expect(report.completed).toBeGreaterThan(report.requests * 0.9);
    if (minutes === undefined) return;
    const columns = [
      { title: 'soak', align: 'left' },
      { title: 'kvoyant', align: 'left' },
      { title: 'required', align: 'left' },
    ] as const;
    console.log(formatTable(columns, rowsOf(report)).join('\n'));
  },
  options.durationMs + 120_000,
);

// All benches of one run: reading a request, tokens, the core, KV events through a socket, the lab, and the gateway.

import type { Workload } from '../src/trace/workload.ts';
import { type BenchFigure, type BenchGroup, type BenchReport, benchReport, timed } from './bench-report.ts';
import { type CoreSizes, measureCore } from './core.ts';
import { type GatewayBenchOptions, type Measurement, measureGateways } from './gateway/bench-gateway.ts';
import { bareRelay } from './gateway/contenders.ts';
import { gatewayFigures } from './gateway/gateway-report.ts';
import { measureRequestIntake, stages } from './intake.ts';
import { measureIntake } from './kv-intake.ts';
import { quantiles, timeEach, yardstick } from './measure.ts';
import { timeReplay } from './replay.ts';
import { measureOwnTokens } from './tokens.ts';

export interface BenchSizes {
  readonly requests: number;
  readonly intakeRounds: number;
  readonly promptsPerKind: number;
  readonly core: CoreSizes;
  readonly messagesPerS: number;
  readonly intakeSeconds: number;
  readonly workload: Workload;
  readonly policies: readonly string[];
  readonly gateway: GatewayBenchOptions;
}

const arithmetic = '1,000 dependent steps of integer arithmetic';

export async function measureAll(sizes: BenchSizes): Promise<BenchReport> {
  const { say } = sizes.gateway;
  const groups: BenchGroup[] = [];
  const add = async (name: string, measure: () => Promise<BenchFigure[]>): Promise<void> => {
    say(`${name} ...`);
    groups.push({ name, yardstick: arithmetic, figures: await measure() });
  };
  await add('reading a request', () => requestFigures(sizes));
  await add('tokens', () => tokenFigures(sizes));
  await add('core', () => coreFigures(sizes));
  await add('KV events', () => eventFigures(sizes));
  await add('lab', () => labFigures(sizes));
  say('gateway ...');
  // Last: it keeps this process off one core.
  const measurements = await measureGateways(sizes.gateway);
  groups.push({ name: 'gateway', yardstick: bareRelay.about, figures: gatewayRatios(measurements) });
  return benchReport(groups);
}

/** Microseconds of the yardstick now. */
function yardstickUs(): number {
  return quantiles(timeEach(2000, () => void yardstick())).p50;
}

/** Figures with the yardstick's mean before and after them. */
async function beside(measure: () => Promise<(yardUs: number) => BenchFigure[]>): Promise<BenchFigure[]> {
  const before = yardstickUs();
  const figuresOf = await measure();
  return figuresOf((before + yardstickUs()) / 2);
}

function requestFigures({ requests, intakeRounds }: BenchSizes): Promise<BenchFigure[]> {
  return beside(async () => {
    const workloads = await measureRequestIntake(requests, intakeRounds);
    return (yardUs) =>
      workloads.flatMap(({ workload, stageUs }) =>
        stages.map((stage, index) => timed(`${workload}: ${stage}`, quantiles(stageUs[index]!), yardUs)),
      );
  });
}

function tokenFigures({ promptsPerKind }: BenchSizes): Promise<BenchFigure[]> {
  return beside(async () => {
    const measured = await measureOwnTokens(promptsPerKind);
    return (yardUs) => measured.map(({ name, figure }) => timed(name, figure, yardUs));
  });
}

/** With yardsticks of its own, measured between its figures. */
async function coreFigures({ core }: BenchSizes): Promise<BenchFigure[]> {
  const { figures, wrongOverlaps, wrongCases } = measureCore(core);
  if (wrongOverlaps > 0 || wrongCases.length > 0) throw new Error('the index finds wrong overlaps');
  return [...figures];
}

function eventFigures({ messagesPerS, intakeSeconds }: BenchSizes): Promise<BenchFigure[]> {
  return beside(async () => {
    const { messages, lostBatches, seconds, cpuShare, busy } = await measureIntake(messagesPerS, intakeSeconds);
    if (lostBatches > 0) throw new Error(`${lostBatches} batches of KV events were lost`);
    const cpuUs = (1e6 * cpuShare * seconds) / messages;
    return (yardUs) => [
      { name: 'CPU of a message of 16 events', unit: 'us', p50: cpuUs, p99: null, ratio: cpuUs / yardUs },
      { name: 'loop held meanwhile', unit: 'ms', p50: busy.heldP99Ms, p99: busy.heldMaxMs, ratio: null },
    ];
  });
}

function labFigures({ workload, policies }: BenchSizes): Promise<BenchFigure[]> {
  return beside(async () => {
    const us = policies.map((policy) => (1e6 * timeReplay(workload, policy).cpuSeconds) / workload.requests.length);
    return (yardUs) =>
      policies.map((policy, index) => {
        const p50 = us[index]!;
        return { name: `${workload.name}, ${policy}: CPU a request`, unit: 'us', p50, p99: null, ratio: p50 / yardUs };
      });
  });
}

function gatewayRatios(measurements: readonly Measurement[]): BenchFigure[] {
  return gatewayFigures(measurements, bareRelay.name).flatMap((figure) => {
    const { router, text, streams, failed, cpuMsPerRequest, cpuRatio, addedTtftP50Ms, addedTtftP99Ms } = figure;
    if (failed > 0) throw new Error(`${router}: ${failed} requests failed`);
    const name = `${router}, ${text}, ${streams} streams`;
    return [
      { name: `${name}: CPU a request`, unit: 'ms', p50: cpuMsPerRequest ?? Number.NaN, p99: null, ratio: cpuRatio },
      { name: `${name}: TTFT added`, unit: 'ms', p50: addedTtftP50Ms, p99: addedTtftP99Ms, ratio: null },
    ];
  });
}

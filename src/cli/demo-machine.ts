// Checks whether the machine kept up during a row. Simulated engines and the load client need real time.

import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { type EngineSteps, readEngineSteps } from '../load/engine-steps.ts';
import { formatNumber } from '../report/text-table.ts';

/** Mean lateness of a step, plus a share of its length, above which the latencies mostly show the machine's load. */
const stepLateMsMax = 2;
const stepLateShareMax = 0.1;
/** 99th percentile of the load client's delay. */
const clientDelayMsMax = 100;
const resolutionMs = 10;

/** How the machine kept up with real time during one row. */
export interface MachineLoad {
  /** Mean length of an engine's step, in real time. */
  readonly stepMs: number;
  /** Mean lateness of a step's end. */
  readonly stepLateMs: number;
  /** 99th percentile of the load client's event loop delay. */
  readonly clientDelayMsP99: number;
  readonly tooBusy: boolean;
}

/** Measures from `start` to `end`. */
export class MachineWatch {
  readonly #engines: readonly string[];
  readonly #speedup: number;
  readonly #before: readonly EngineSteps[];
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: resolutionMs });

  private constructor(engines: readonly string[], speedup: number, before: readonly EngineSteps[]) {
    this.#engines = engines;
    this.#speedup = speedup;
    this.#before = before;
    this.#delay.enable();
  }

  /** @param engines engine URLs */
  static async start(engines: readonly string[], speedup: number): Promise<MachineWatch> {
    return new MachineWatch(engines, speedup, await Promise.all(engines.map(readEngineSteps)));
  }

  async end(): Promise<MachineLoad> {
    this.#delay.disable();
    const after = await Promise.all(this.#engines.map(readEngineSteps));
    const grown = (what: keyof EngineSteps): number =>
      after.reduce((sum, steps, index) => sum + steps[what] - this.#before[index]![what], 0);
    const count = Math.max(1, grown('count'));
    return machineLoad(
      (grown('simulatedS') / this.#speedup / count) * 1000,
      (grown('lateS') / count) * 1000,
      // The delay monitor reports the time between two turns, which is `resolutionMs` if nothing is late.
      Math.max(0, this.#delay.percentile(99) / 1e6 - resolutionMs),
    );
  }
}

export function machineLoad(stepMs: number, stepLateMs: number, clientDelayMsP99: number): MachineLoad {
  const tooBusy = stepLateMs > stepLateMsMax + stepLateShareMax * stepMs || clientDelayMsP99 > clientDelayMsMax;
  return { stepMs, stepLateMs, clientDelayMsP99, tooBusy };
}

/** One sentence about the rows in which the machine was too busy. Null if there are none. */
export function machineWarning(rows: ReadonlyMap<string, MachineLoad>): string | null {
  const busy = [...rows].filter(([, { tooBusy }]) => tooBusy);
  if (busy.length === 0) return null;
  const [name, { stepMs, stepLateMs, clientDelayMsP99 }] = busy.reduce((worst, row) =>
    row[1].stepLateMs > worst[1].stepLateMs ? row : worst,
  );
  const [step, late, delay] = [stepMs, stepLateMs, clientDelayMsP99].map((value) => formatNumber(value, 1));
  return (
    `TOO BUSY: this machine had too little processor time for ${busy.map(([row]) => row).join(', ')}. Worst was ` +
    `${name}: the engines' steps of ${step} ms ended ${late} ms late on average, and the load client was up to ` +
    `${delay} ms late. The latencies of such rows show the machine rather than the policies. Run it again ` +
    'when nothing else is running, or with fewer --workers.'
  );
}

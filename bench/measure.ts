// Helpers of the benches: timing loops, quantiles, and a line that describes the machine.

import { execFileSync } from 'node:child_process';
import os from 'node:os';

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
}

/** Quantiles of samples in any unit. Sorts the samples in place. */
export function quantiles(samples: Float64Array): Quantiles {
  samples.sort();
  const at = (q: number): number => samples[Math.min(samples.length - 1, Math.floor(q * samples.length))]!;
  return { p50: at(0.5), p99: at(0.99) };
}

/** Microseconds of each call of `once`. */
export function timeEach(calls: number, once: (call: number) => void): Float64Array {
  const samples = new Float64Array(calls);
  for (let call = 0; call < calls; call++) {
    const start = process.hrtime.bigint();
    once(call);
    samples[call] = Number(process.hrtime.bigint() - start) / 1000;
  }
  return samples;
}

/** A thousand dependent steps of integer arithmetic, without memory: the speed of the core at that moment. */
export function yardstick(): number {
  let z = 1;
  for (let i = 0; i < 1000; i++) {
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z ^= z >>> 15;
  }
  return z;
}

export function environment(): string {
  let commit = 'no commit';
  try {
    commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    // Not a git checkout, so the line names no commit.
  }
  const cpu = os.cpus();
  return `Node ${process.versions.node}, ${cpu.length} x ${cpu[0]?.model.trim() ?? 'unknown CPU'}, commit ${commit}`;
}

export function print(name: string, figure: Quantiles): void {
  console.log(`${name.padEnd(52)} ${figure.p50.toFixed(2).padStart(9)} ${figure.p99.toFixed(2).padStart(9)}`);
}

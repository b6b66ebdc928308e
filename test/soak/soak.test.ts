import { expect, it } from 'vitest';
import { soak } from './soak.ts';

/** Set by `npm run soak`. */
const seconds = Number(process.env['KVOYANT_SOAK_S'] ?? 15);
const seed = Number(process.env['KVOYANT_SOAK_SEED'] ?? 1);

it(
  `keeps a correct index over ${seconds} s of lost, doubled and late events and engine restarts`,
  async () => {
    const report = await soak(seconds * 1000, seed);
    expect(report.restarts).toBeGreaterThan(0);
    if (process.env['KVOYANT_SOAK_S'] !== undefined) console.log(JSON.stringify(report, null, 2));
  },
  seconds * 1000 + 90_000,
);

// `npm run test:faults [-- TIMES]`: builds, runs the fault suite at full size, TIMES times in a row, and prints its
// table.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bin, install, root } from './set-up.mjs';

const times = Number(process.argv[2] ?? 1);
install();
install(join(root, 'test'));
await import('./build.mjs');
const { formatTable } = await import('../dist/report/text-table.js');
const columns = [
  { title: 'fault', align: 'left' },
  { title: 'kvoyant', align: 'left' },
  { title: 'required', align: 'left' },
];
for (let time = 1; time <= times; time++) {
  const folder = mkdtempSync(join(tmpdir(), 'kvoyant-faults-'));
  process.env.KVOYANT_FAULTS = 'full';
  process.env.KVOYANT_FAULTS_REPORT = join(folder, 'report');
  // One file at a time, so that the figures are of one fault.
  bin('vitest', ['run', 'test/fault', '--no-file-parallelism', '--testTimeout', '180000']);
  const rows = readFileSync(process.env.KVOYANT_FAULTS_REPORT, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  rmSync(folder, { recursive: true });
  console.log(`\nrun ${time} of ${times}\n`);
  for (const line of formatTable(
    columns,
    rows.map(({ fault, figures, required }) => [fault, figures, required]),
  )) {
    console.log(line);
  }
}

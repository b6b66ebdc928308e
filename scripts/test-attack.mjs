// `npm run test:attack [-- FILE...]`: builds, runs the attack suite at full size, and prints the memory of each
// attacked gateway.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bin, install, root } from './set-up.mjs';

install();
install(join(root, 'test'));
await import('./build.mjs');
const { formatTable } = await import('../dist/report/text-table.js');
const folder = mkdtempSync(join(tmpdir(), 'kvoyant-attacks-'));
const report = join(folder, 'report');
process.env.KVOYANT_ATTACKS = 'full';
process.env.KVOYANT_ATTACKS_REPORT = report;
const files = process.argv.slice(2);
// One file at a time, so that the memory figures are of one attack.
bin('vitest', [
  ...['run', ...(files.length === 0 ? ['test/attack'] : files)],
  ...['--no-file-parallelism', '--testTimeout', '300000', '--hookTimeout', '120000'],
]);
const lines = existsSync(report) ? readFileSync(report, 'utf8').trimEnd().split('\n') : [];
rmSync(folder, { recursive: true });
const columns = [
  { title: 'attacks', align: 'left' },
  { title: 'peak memory, MiB', align: 'right' },
];
const rows = lines.map((line) => JSON.parse(line));
console.log();
for (const line of formatTable(
  columns,
  rows.map(({ gateway, peakMiB }) => [gateway, `${peakMiB}`]),
)) {
  console.log(line);
}

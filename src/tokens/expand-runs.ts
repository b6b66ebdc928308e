// Expands the run-length encoding of the generated character tables.

/** Number of Unicode code points: the size of every table. */
const codePointCount = 0x110000;

/** @param runs from U+0000 on, separated by blanks: one digit of value, then the length, both in base 36 */
export function expandRuns(runs: string): Uint8Array {
  const values = new Uint8Array(codePointCount);
  let at = 0;
  for (const run of runs.split(' ')) {
    const length = Number.parseInt(run.slice(1), 36);
    values.fill(Number.parseInt(run[0]!, 36), at, at + length);
    at += length;
  }
  return values;
}

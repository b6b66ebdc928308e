// How large the attacks are: full under `npm run test:attack`, small in `npm test`.

import { appendFileSync } from 'node:fs';

const { KVOYANT_ATTACKS: scale, KVOYANT_ATTACKS_REPORT: file } = process.env;

export const isFull = scale === 'full';

export function size(full: number, small: number): number {
  return isFull ? full : small;
}

/** A line for the table of `npm run test:attack`. */
export function report(gateway: string, peakBytes: number): void {
  const peakMiB = Math.ceil(peakBytes / 1024 / 1024);
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ gateway, peakMiB })}\n`);
}

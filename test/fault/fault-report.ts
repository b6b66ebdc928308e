// Sizes of the fault tests, and their figures: one line of JSON each, for the table of `npm run test:faults`.

import { appendFileSync } from 'node:fs';

const { KVOYANT_FAULTS: scale, KVOYANT_FAULTS_REPORT: file } = process.env;

/** `npm run test:faults`: sizes of the published table; otherwise small ones. */
const isFull = scale === 'full';

export function size(full: number, small: number): number {
  return isFull ? full : small;
}

export function report(fault: string, figures: string, required: string): void {
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ fault, figures, required })}\n`);
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

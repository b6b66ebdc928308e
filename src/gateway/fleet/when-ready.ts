// Waits until engines are ready; if they do not become so, says why of each.

import type { Engine } from '../engines/engine.ts';
import { until } from '../until.ts';

export async function whenReady(engines: readonly Engine[], engineCount: number, timeoutMs: number): Promise<void> {
  const ready = (): number => engines.filter(({ state }) => state === 'ready').length;
  if (await until(() => ready() >= engineCount, timeoutMs)) return;
  const missing = engines.filter(({ state }) => state !== 'ready');
  const reasons = missing.map(({ url, state, reason }) => `${url} is ${state}: ${reason ?? 'not reached yet'}`);
  throw new Error(`${ready()} of ${engineCount} engines are ready after ${timeoutMs} ms; ${reasons.join('; ')}`);
}

// The pooled cache of hit-ceilings.ts as a plain list of block names, oldest first.

import type { Workload } from '../../src/trace/workload.ts';

export function naivePooledLruHitRate(workload: Workload, capacityTokens: number): number {
  const { requests, contentBlockTokens } = workload;
  const capacityBlocks = Math.floor(capacityTokens / contentBlockTokens);
  let cache: string[] = [];
  let islTokens = 0;
  let hitTokens = 0;
  for (const [index, { isl, blockIds }] of requests.entries()) {
    const blocks = Math.ceil(isl / contentBlockTokens);
    const names = Array.from({ length: blocks }, (_, block) =>
      block < blockIds.length ? `${blockIds[block]}` : `own ${index} ${block}`,
    );
    const missing = names.findIndex((name) => !cache.includes(name));
    islTokens += isl;
    hitTokens += Math.min((missing === -1 ? blocks : missing) * contentBlockTokens, isl);
    cache = [...cache.filter((name) => !names.includes(name)), ...names.reverse()];
    cache = cache.slice(Math.max(0, cache.length - capacityBlocks));
  }
  return hitTokens / islTokens;
}

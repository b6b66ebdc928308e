// Looks for more ranks of an engine at the next ports, since some engines open one port per rank.

import type { EngineSpec } from '../config/engine-spec.ts';
import { Engine } from '../engines/engine.ts';
import { ProbeError } from '../engines/engine-probe.ts';

/** Ports tried after the engine's own; the first without an engine ends the search. */
const portsMax = 16;

/** @returns addresses that serve the same model and are not in `known` */
export async function neighbourPorts(spec: EngineSpec, model: string, known: ReadonlySet<string>): Promise<string[]> {
  const found: string[] = [];
  const url = new URL(spec.url);
  const base = Number(url.port);
  // An address without a port is a proxy's.
  if (base === 0) return found;
  for (let port = base + 1; port <= Math.min(65_535, base + portsMax); port++) {
    url.port = String(port);
    const address = url.href.replace(/\/+$/, '');
    if (known.has(address)) continue;
    if (!(await serves({ ...spec, url: address }, model))) break;
    found.push(address);
  }
  return found;
}

async function serves(spec: EngineSpec, model: string): Promise<boolean> {
  const engine = new Engine(spec);
  try {
    return (await engine.probe.models()).some(({ id }) => id === model);
  } catch (error) {
    if (!(error instanceof ProbeError)) throw error;
    return false;
  } finally {
    await engine.upstream.close();
  }
}

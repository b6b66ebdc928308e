// Looks for further ranks of an engine at the ports that follow its own: some engines open a port for each of them.

import type { EngineSpec } from '../config/engine-spec.ts';
import { Engine } from '../engines/engine.ts';
import { ProbeError } from '../engines/engine-probe.ts';

/** Ports looked at behind that of an engine; the first that is silent ends the look. */
const portsMax = 16;

/** @returns addresses that serve the same model, and are none of `known` */
export async function neighbourPorts(spec: EngineSpec, model: string, known: ReadonlySet<string>): Promise<string[]> {
  const found: string[] = [];
  const url = new URL(spec.url);
  const base = Number(url.port);
  // Without a port in it, the address is that of a proxy.
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

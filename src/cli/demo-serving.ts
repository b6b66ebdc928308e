// The gateway that keeps running after the demo's tables, with light traffic until Ctrl-C.

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cluster, type ClusterOptions, startCluster } from './demo-cluster.ts';
import { sendLightTraffic, trafficHoursMax, trafficPerS } from './demo-traffic.ts';
import { rowFlags } from './demo-workloads.ts';

export interface ServingOptions extends Omit<ClusterOptions, 'gatewayFlags'> {
  readonly traffic: boolean;
  readonly print: (line: string) => void;
}

/** Serves until the signal. @throws Error if one of its processes ends by itself */
export async function serveOn(options: ServingOptions): Promise<void> {
  const { print, signal } = options;
  const port = await freePort(options.port, print);
  // A recording lets the page answer "what if".
  const folder = await mkdtemp(join(tmpdir(), 'kvoyant-demo-'));
  const end = new AbortController();
  let cluster: Cluster | null = null;
  let traffic: Promise<void> | null = null;
  try {
    const gatewayFlags = [...rowFlags.foresee, '--record', join(folder, 'traffic.jsonl')];
    cluster = await startCluster({ ...options, port, gatewayFlags, canary: true });
    for (const line of greeting(cluster, options)) print(line);
    const stopped = signal.aborted ? Promise.resolve() : once(signal, 'abort');
    if (options.traffic) traffic = send(cluster, options, AbortSignal.any([signal, end.signal]));
    await Promise.race([stopped, cluster.died]);
  } finally {
    end.abort();
    await traffic;
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function greeting({ gateways, operators, model }: Cluster, { workers, traffic }: ServingOptions): string[] {
  const [gateway, operator] = [gateways[0]!, operators[0]!];
  const body = `{"model":"${model}","prompt":"Hello","max_tokens":16,"stream":true}`;
  const rate = trafficPerS(workers);
  return [
    '',
    `Serving on ${gateway}, policy foresee, ${workers} simulated engines. Ctrl-C ends it. Try:`,
    '',
    `  curl -N ${gateway}/v1/completions -H 'content-type: application/json' -d '${body}'`,
    '',
    `See it work: ${operator}/dashboard/`,
    ...(traffic
      ? [
          `Light traffic goes on, on average ${rate} requests a second for ${trafficHoursMax} hours, to be looked at there.`,
        ]
      : []),
    `Also: ${operator}/workers  /loads  /decisions  /metrics`,
  ];
}

/** Never rejects. */
async function send(
  { gateways, model }: Cluster,
  { workers, seed, print }: ServingOptions,
  signal: AbortSignal,
): Promise<void> {
  try {
    await sendLightTraffic({ gateway: gateways[0]!, model, engines: workers, seed, signal });
  } catch (error) {
    print(`The light traffic has ended: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The port if it is free, otherwise 0. */
async function freePort(port: number, print: (line: string) => void): Promise<number> {
  const probe = createServer();
  try {
    probe.listen(port, '127.0.0.1');
    await once(probe, 'listening');
    probe.close();
    await once(probe, 'close');
    return port;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error) || error.code !== 'EADDRINUSE') throw error;
    print(`Port ${port} is taken; another one is used.`);
    return 0;
  }
}

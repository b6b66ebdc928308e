// Processes of one demo run: one with the simulated engines, one for each gateway.

import { servedModel, waitUntilReady } from './demo-gateway.ts';
import { DemoProgram } from './demo-program.ts';

const startTimeoutMs = 30_000;

export interface ClusterOptions {
  /** The kvoyant program, with the commands `sim-worker` and `serve`. */
  readonly script: string;
  readonly workers: number;
  readonly speedup: number;
  readonly seed: number;
  /** 0: any free port. */
  readonly port: number;
  readonly gatewayFlags: readonly string[];
  /** Gateways in front of the same engines. Default 1. */
  readonly gatewayCount?: number;
  /** Whether the gateways prove their workers with canaries, which add requests. Default false. */
  readonly canary?: boolean;
  /** Aborts the start. The caller stops a cluster that has started. */
  readonly signal: AbortSignal;
}

export interface Cluster {
  readonly gateways: readonly string[];
  /** URLs of the gateways' routes for operators. */
  readonly operators: readonly string[];
  readonly engines: readonly string[];
  readonly model: string;
  /** Rejects if one of the processes ends by itself. */
  readonly died: Promise<never>;
  stop(): Promise<void>;
}

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const programs: DemoProgram[] = [];
  const stop = async (): Promise<void> => {
    // Stop the gateway first, since it would report vanishing engines.
    for (const program of programs.toReversed()) await program.stop();
  };
  const onAbort = (): void => void stop();
  options.signal.addEventListener('abort', onAbort, { once: true });
  try {
    const start = (name: string, args: readonly string[]): DemoProgram => {
      options.signal.throwIfAborted();
      const program = new DemoProgram(name, options.script, args);
      programs.push(program);
      return program;
    };
    return { ...(await launch(start, options)), stop };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    options.signal.removeEventListener('abort', onAbort);
  }
}

async function launch(
  start: (name: string, args: readonly string[]) => DemoProgram,
  { workers, speedup, seed, port, gatewayFlags, gatewayCount = 1, canary = false }: ClusterOptions,
): Promise<Omit<Cluster, 'stop'>> {
  const sim = start('sim-worker', [
    'sim-worker',
    ...['--count', String(workers), '--port', '0', '--kv-events-port', '0'],
    ...['--speedup', String(speedup), '--seed', String(seed)],
  ]);
  const engines = (await sim.lines(/listening on (http:\/\/[\w.]+:\d+)/, workers, startTimeoutMs)).map((m) => m[1]!);
  const programs = Array.from({ length: gatewayCount }, (_, at) =>
    start('serve', [
      'serve',
      ...engines.flatMap((url) => ['--worker', url]),
      ...['--tokenizer', 'builtin', '--port', String(at === 0 ? port : 0), '--admin-port', '0', '--log-level', 'warn'],
      // Measure only the requests of the workload.
      ...(canary ? [] : ['--no-canary']),
      ...['--inject-usage', '--seed', String(seed), ...gatewayFlags],
    ]),
  );
  const said = async (pattern: RegExp): Promise<string[]> => {
    const lines = await Promise.all(programs.map((program) => program.lines(pattern, 1, startTimeoutMs)));
    return lines.map(([match]) => match![1]!);
  };
  const gateways = await said(/listening on (http:\/\/[\w.]+:\d+)/);
  const operators = await said(/for operators at (http:\/\/[\w.]+:\d+)/);
  const died = Promise.race([sim.died, ...programs.map((program) => program.died)]);
  died.catch(() => {});
  const ready = Promise.all(operators.map((one) => waitUntilReady(one, workers, startTimeoutMs)));
  await Promise.race([ready, died]);
  return { gateways, operators, engines, model: await servedModel(gateways[0]!), died };
}

// Processes of one demo run: one with the simulated engines, one with the gateway.

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
  /** Aborts the start. The caller stops a cluster that has started. */
  readonly signal: AbortSignal;
}

export interface Cluster {
  readonly gateway: string;
  /** URL of the gateway's routes for operators. */
  readonly operators: string;
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
  { workers, speedup, seed, port, gatewayFlags }: ClusterOptions,
): Promise<Omit<Cluster, 'stop'>> {
  const sim = start('sim-worker', [
    'sim-worker',
    ...['--count', String(workers), '--port', '0', '--kv-events-port', '0'],
    ...['--speedup', String(speedup), '--seed', String(seed)],
  ]);
  const engines = (await sim.lines(/listening on (http:\/\/[\w.]+:\d+)/, workers, startTimeoutMs)).map((m) => m[1]!);
  const serve = start('serve', [
    'serve',
    ...engines.flatMap((url) => ['--worker', url]),
    ...['--tokenizer', 'builtin', '--port', String(port), '--admin-port', '0', '--log-level', 'warn'],
    // Measure only the requests of the workload.
    ...['--no-canary', '--inject-usage', '--seed', String(seed), ...gatewayFlags],
  ]);
  const [listening] = await serve.lines(/listening on (http:\/\/[\w.]+:\d+)/, 1, startTimeoutMs);
  const [forOperators] = await serve.lines(/for operators at (http:\/\/[\w.]+:\d+)/, 1, startTimeoutMs);
  const gateway = listening![1]!;
  const operators = forOperators![1]!;
  const died = Promise.race([sim.died, serve.died]);
  died.catch(() => {});
  await Promise.race([waitUntilReady(operators, workers, startTimeoutMs), died]);
  return { gateway, operators, engines, model: await servedModel(gateway), died };
}

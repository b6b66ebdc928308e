// The processes of one demonstration run: simulated engines, all in one process, and a gateway before them.
import { servedModel, waitUntilReady } from './demo-gateway.ts';
import { DemoProgram } from './demo-program.ts';

const START_TIMEOUT_MS = 30_000;

export interface ClusterOptions {
  /** The program that knows the commands `sim-worker` and `serve`. */
  readonly script: string;
  readonly workers: number;
  readonly speedup: number;
  readonly seed: number;
  /** 0: any free port. */
  readonly port: number;
  readonly gatewayFlags: readonly string[];
  /** Ends the start; a cluster that has started is stopped by whoever started it. */
  readonly signal: AbortSignal;
}

export interface Cluster {
  readonly gateway: string;
  /** Where the gateway's routes for operators are. */
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
    // The gateway first: it would report engines that vanish.
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
  const engines = (await sim.lines(/listening on (http:\/\/[\w.]+:\d+)/, workers, START_TIMEOUT_MS)).map((m) => m[1]!);
  const serve = start('serve', [
    'serve',
    ...engines.flatMap((url) => ['--worker', url]),
    ...['--tokenizer', 'builtin', '--port', String(port), '--admin-port', '0', '--log-level', 'warn'],
    // Of requests nothing but the workload is measured.
    ...['--no-canary', '--inject-usage', '--seed', String(seed), ...gatewayFlags],
  ]);
  const [listening] = await serve.lines(/listening on (http:\/\/[\w.]+:\d+)/, 1, START_TIMEOUT_MS);
  const [forOperators] = await serve.lines(/for operators at (http:\/\/[\w.]+:\d+)/, 1, START_TIMEOUT_MS);
  const gateway = listening![1]!;
  const operators = forOperators![1]!;
  const died = Promise.race([sim.died, serve.died]);
  died.catch(() => {});
  await Promise.race([waitUntilReady(operators, workers, START_TIMEOUT_MS), died]);
  return { gateway, operators, engines, model: await servedModel(gateway), died };
}

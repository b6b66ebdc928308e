// One real vLLM on the CPU, without weights: its scheduler, its prefix cache, its evictions and its KV events are real.

import type { ChildProcess } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EngineUnderTest } from './engine-under-test.ts';
import { freePorts } from './free-ports.ts';
import { crashProgram, endProgram, startProgram } from './own-processes.ts';
import type { Release } from './versions.ts';

const startMsMax = 300_000;
const logLinesShown = 25;

export interface VllmOptions {
  readonly name: string;
  readonly release: Release;
  readonly python: string;
  /** Folder with its configuration and its tokenizer. */
  readonly modelFolder: string;
  readonly model: string;
  readonly logFile: string;
  readonly blocks: number;
  readonly blockSize: number;
  readonly contextTokensMax: number;
  readonly prefixCaching: boolean;
  readonly kvEvents: boolean;
  /** Whether the usage reports cached tokens. */
  readonly promptTokenDetails: boolean;
}

export class VllmEngine implements EngineUnderTest {
  readonly name: string;
  readonly url: string;
  readonly replayEndpoint: string;
  readonly workerSpec: string;
  readonly #options: VllmOptions;
  readonly #args: readonly string[];
  #child: ChildProcess | null = null;

  private constructor(options: VllmOptions, ports: readonly number[]) {
    const [port, eventsPort, replayPort] = ports;
    this.#options = options;
    this.name = options.name;
    this.url = `http://127.0.0.1:${port}`;
    this.replayEndpoint = `tcp://127.0.0.1:${replayPort}`;
    const feed = `kv-events=tcp://127.0.0.1:${eventsPort},kv-replay=${this.replayEndpoint}`;
    this.workerSpec = options.release.discovers || !options.kvEvents ? this.url : `${this.url},${feed}`;
    this.#args = argumentsOf(options, ports);
  }

  /** @throws Error with the end of its log if it does not start */
  static async start(options: VllmOptions): Promise<VllmEngine> {
    const engine = new VllmEngine(options, await freePorts(3));
    await engine.restart();
    return engine;
  }

  async restart(): Promise<void> {
    const { python, logFile } = this.#options;
    const log = openSync(logFile, 'a');
    this.#child = await startProgram(python, this.#args, {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...environment },
    });
    const endMs = performance.now() + startMsMax;
    while (!(await this.#isHealthy())) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw this.#failure('has ended');
      if (performance.now() > endMs) throw this.#failure(`is not healthy after ${startMsMax / 1000} s`);
      await sleep(500);
    }
  }

  async kill(): Promise<void> {
    await crashProgram(this.#child!);
  }

  async end(): Promise<void> {
    if (this.#child !== null) await endProgram(this.#child);
  }

  async #isHealthy(): Promise<boolean> {
    try {
      return (await fetch(`${this.url}/health`)).ok;
    } catch {
      return false;
    }
  }

  #failure(what: string): Error {
    const { logFile, release } = this.#options;
    const log = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-logLinesShown).join('\n');
    return new Error(`vLLM ${release.version}, engine ${this.name}, ${what}; the end of ${logFile}:\n${log}`);
  }
}

const environment = {
  VLLM_CPU_KVCACHE_SPACE: '1',
  // One thread per engine, since several share a few cores.
  VLLM_CPU_OMP_THREADS_BIND: 'nobind',
  OMP_NUM_THREADS: '1',
  VLLM_HOST_IP: '127.0.0.1',
  VLLM_NO_USAGE_STATS: '1',
  DO_NOT_TRACK: '1',
  HF_HUB_OFFLINE: '1',
  TRANSFORMERS_OFFLINE: '1',
};

function argumentsOf(options: VllmOptions, [port, eventsPort, replayPort]: readonly number[]): string[] {
  const { modelFolder, model, blocks, blockSize, contextTokensMax } = options;
  const events = {
    enable_kv_cache_events: true,
    publisher: 'zmq',
    // It binds only an endpoint with a wildcard; to any other it connects.
    endpoint: `tcp://*:${eventsPort}`,
    replay_endpoint: `tcp://127.0.0.1:${replayPort}`,
  };
  return [
    // The package's `vllm` command requires metadata that only the GPU build has.
    ...['-m', 'vllm.entrypoints.openai.api_server'],
    ...['--model', modelFolder, '--load-format', 'dummy', '--served-model-name', model],
    ...['--host', '127.0.0.1', '--port', String(port), '--enforce-eager'],
    ...['--block-size', String(blockSize), '--num-gpu-blocks-override', String(blocks)],
    ...['--max-model-len', String(contextTokensMax), '--max-num-batched-tokens', '2048', '--max-num-seqs', '64'],
    options.prefixCaching ? '--enable-prefix-caching' : '--no-enable-prefix-caching',
    ...(options.promptTokenDetails ? ['--enable-prompt-tokens-details'] : []),
    ...(options.kvEvents ? ['--kv-events-config', JSON.stringify(events)] : []),
  ];
}

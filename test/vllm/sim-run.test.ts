import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ConcurrentPhase } from './concurrent-phase.ts';
import { continuedPhase } from './continued-phase.ts';
import { doctorPhase, type Patient } from './doctor-phase.ts';
import type { EngineUnderTest, Stage } from './engine-under-test.ts';
import { freePorts } from './free-ports.ts';
import { GatewayProcess } from './gateway-process.ts';
import { crashProgram, endProgram, startProgram } from './own-processes.ts';
import { restPhase } from './rest-phase.ts';
import { sequentialPhase } from './sequential-phase.ts';
import { ToolChats } from './tool-chats.ts';
import { Workload } from './workload.ts';

const command = [process.execPath, join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js')];
const blockSize = 32;
const model = 'tiny';

/** A simulated engine in place of a real one. */
class SimEngine implements EngineUnderTest {
  readonly name: string;
  readonly url: string;
  readonly workerSpec: string;
  replayEndpoint = '';
  readonly #args: readonly string[];
  #child: ChildProcess | null = null;

  private constructor(name: string, [port, eventsPort]: readonly number[]) {
    this.name = name;
    this.url = `http://127.0.0.1:${port}`;
    this.workerSpec = this.url;
    this.#args = [
      ...['sim-worker', '--port', String(port), '--kv-events-port', String(eventsPort), '--model', model],
      ...['--block-size', String(blockSize), '--blocks', '80', '--max-model-len', '2500', '--speedup', '10'],
    ];
  }

  static async start(name: string): Promise<SimEngine> {
    const engine = new SimEngine(name, await freePorts(2));
    await engine.restart();
    return engine;
  }

  async restart(): Promise<void> {
    const [program, ...before] = command;
    this.#child = await startProgram(program!, [...before, ...this.#args], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(this.#child, 'exit').then(([code]) => Promise.reject(new Error(`${this.name} ended: ${code}`)));
    ended.catch(() => undefined);
    await Promise.race([once(this.#child.stdout!, 'data'), ended]);
    const sources = await (await fetch(`${this.url}/kv_event_sources`)).json();
    this.replayEndpoint = (sources as { 0: { replay_endpoint: string } })[0].replay_endpoint;
  }

  async kill(): Promise<void> {
    await crashProgram(this.#child!);
  }

  async end(): Promise<void> {
    if (this.#child !== null) await endProgram(this.#child);
  }
}

let folder: string;
let engines: SimEngine[];
let gateway: GatewayProcess | null;
let said: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kvoyant-sim-run-'));
  engines = [];
  gateway = null;
  said = [];
});
afterEach(async () => {
  await gateway?.end();
  await Promise.all(engines.map((engine) => engine.end()));
  rmSync(folder, { recursive: true });
});

it('every phase of the run with real engines passes with simulated ones', async () => {
  engines = await Promise.all([SimEngine.start('A'), SimEngine.start('B')]);
  const stage: Stage = { engines, model, blockSize, omitsZero: false, say: (line) => said.push(line) };
  const specs = engines.map(({ workerSpec }) => workerSpec);
  gateway = await GatewayProcess.start(command, specs, 'builtin', join(folder, 'gateway.log'));
  const workload = new Workload(1, model, blockSize);
  const both: Patient = { what: 'both', workers: specs, cause: null, proof: ['token-count', 'usage', 'events'] };
  const misled: Patient = {
    what: 'blocks of 48',
    workers: [`${specs[0]},block-size=48`],
    cause: 'block-size',
    proof: [],
  };
  const verdicts = [
    ...(await sequentialPhase(stage, gateway, workload, 15)),
    ...(await sequentialPhase(stage, gateway, new ToolChats(1, model), 6, 'tools')),
    ...(await new ConcurrentPhase(stage, gateway, workload).run(40)),
    ...(await restPhase(stage, gateway)),
    ...(await doctorPhase(stage, command, 'builtin', [both, misled])),
  ];
  await gateway.end();
  gateway = await GatewayProcess.start(command, specs, 'builtin', join(folder, 'continue.log'), '--continue');
  verdicts.push(...(await continuedPhase(stage, gateway, 12)));
  expect(verdicts.at(-1)).toMatchObject({ seen: '12 of 12' });
  expect(
    verdicts.filter(({ holds }) => !holds),
    said.join('\n'),
  ).toEqual([]);
  expect(verdicts).toHaveLength(19);
}, 300_000);

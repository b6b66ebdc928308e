// One run with one release of vLLM: two engines behind a gateway, all phases, and their verdicts.

import { join } from 'node:path';
import { ConcurrentPhase } from './concurrent-phase.ts';
import { continuedPhase } from './continued-phase.ts';
import { doctorPhase, type Patient } from './doctor-phase.ts';
import type { Stage } from './engine-under-test.ts';
import { GatewayProcess } from './gateway-process.ts';
import { restPhase } from './rest-phase.ts';
import { sequentialPhase } from './sequential-phase.ts';
import { ToolChats } from './tool-chats.ts';
import type { Verdict } from './verdict-table.ts';
import type { Release } from './versions.ts';
import { VllmEngine, type VllmOptions } from './vllm-engine.ts';
import { Workload } from './workload.ts';

/** CPU builds require a multiple of 32. */
const blockSize = 32;
/** Few enough that the workload does not fit. */
const blocks = 200;
const model = 'tiny';
const seed = 1;
const sequentialRequests = 120;
const toolRequests = 45;
const concurrentRequests = 80;
const continuedRequests = 18;

export interface RunOptions {
  readonly release: Release;
  /** Python interpreter with the release. */
  readonly python: string;
  readonly modelFolder: string;
  /** Command that runs kvoyant. */
  readonly command: readonly string[];
  /** Folder for the logs. */
  readonly logFolder: string;
  readonly say: (line: string) => void;
}

/** @returns the verdicts so far; an aborted run has a row that says so */
export async function runRelease(options: RunOptions): Promise<Verdict[]> {
  const { release, modelFolder, command, logFolder, say } = options;
  const verdicts: Verdict[] = [];
  const started: VllmEngine[] = [];
  const start = async (name: string, changes: Partial<VllmOptions> = {}): Promise<VllmEngine> => {
    const engine = await VllmEngine.start({ ...sound(options, name), ...changes });
    started.push(engine);
    return engine;
  };
  const begin = (what: string): void => say(`vLLM ${release.version}: ${what}`);
  let gateway: GatewayProcess | null = null;
  try {
    begin('two engines start');
    const engines = await Promise.all([start('A'), start('B')]);
    const stage: Stage = { engines, model, blockSize, omitsZero: release.omitsZero, say };
    const specs = engines.map(({ workerSpec }) => workerSpec);
    gateway = await GatewayProcess.start(
      command,
      specs,
      modelFolder,
      join(logFolder, `gateway-${release.version}.log`),
    );
    const workload = new Workload(seed, model, blockSize);
    begin('one request after the other');
    verdicts.push(...(await sequentialPhase(stage, gateway, workload, sequentialRequests)));
    begin('chats with tools');
    const toolChats = new ToolChats(seed, model);
    verdicts.push(...(await sequentialPhase(stage, gateway, toolChats, toolRequests, 'tools')));
    begin('many at once, an engine killed');
    verdicts.push(...(await new ConcurrentPhase(stage, gateway, workload).run(concurrentRequests)));
    begin('at rest');
    verdicts.push(...(await restPhase(stage, gateway)));
    await gateway.end();
    begin('an engine killed, its streams continued');
    const log = join(logFolder, `gateway-${release.version}-continue.log`);
    gateway = await GatewayProcess.start(command, specs, modelFolder, log, '--continue');
    verdicts.push(...(await continuedPhase(stage, gateway, continuedRequests)));
    await gateway.end();
    begin('doctor at both');
    const both: Patient = {
      what: 'both engines',
      workers: specs,
      cause: null,
      proof: ['token-count', 'usage', 'events'],
    };
    verdicts.push(...(await doctorPhase(stage, command, modelFolder, [both])));
    await Promise.all(engines.map((engine) => engine.end()));
    begin('three engines with a fault start');
    const [uncached, silent, wordless] = await Promise.all([
      start('uncached', { prefixCaching: false }),
      start('silent', { kvEvents: false }),
      start('wordless', { promptTokenDetails: false }),
    ]);
    begin('doctor at each');
    const patients: Patient[] = [
      { what: 'prefix caching off', workers: [uncached.workerSpec], cause: 'prefix-caching-off', proof: [] },
      { what: 'KV events off', workers: [silent.workerSpec], cause: 'events-off', proof: [] },
      {
        what: 'told of blocks of 48',
        workers: [`${wordless.workerSpec},block-size=48`],
        cause: 'block-size',
        proof: [],
      },
      {
        what: 'no prompt token details',
        workers: [wordless.workerSpec],
        cause: null,
        proof: ['token-count', 'counters', 'events'],
      },
    ];
    verdicts.push(...(await doctorPhase(stage, command, modelFolder, patients)));
  } catch (error) {
    say(error instanceof Error ? (error.stack ?? error.message) : String(error));
    verdicts.push({ check: 'run', seen: 'broken off', required: 'to the end', holds: false });
  } finally {
    await gateway?.end();
    await Promise.all(started.map((engine) => engine.end()));
  }
  return verdicts;
}

function sound({ release, python, modelFolder, logFolder }: RunOptions, name: string): VllmOptions {
  return {
    name,
    release,
    python,
    modelFolder,
    model,
    logFile: join(logFolder, `engine-${release.version}-${name}.log`),
    blocks,
    blockSize,
    contextTokensMax: 4096,
    prefixCaching: true,
    kvEvents: true,
    promptTokenDetails: true,
  };
}

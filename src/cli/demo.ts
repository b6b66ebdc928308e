// `kvoyant demo`: routes requests to simulated engines under several policies, prints the figures, and keeps a gateway
// running.

import { open, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { Progress } from '../report/progress.ts';
import { runReplicasDemo } from './demo-replicas.ts';
import { type DemoOptions, runDemo } from './demo-session.ts';
import { demoRowNames, type RowName, type WorkloadName, workloadNames } from './demo-workloads.ts';
import { addHelpNotes } from './help-layout.ts';

interface Flags {
  readonly once?: true;
  /** False with `--no-traffic`. */
  readonly traffic: boolean;
  readonly json?: string;
  readonly rows?: readonly RowName[];
  readonly workers: number;
  readonly speedup: number;
  readonly seed: number;
  readonly port: number;
  readonly scale: number;
}

export function demoCommand(): Command {
  const command = new Command('demo')
    .description(
      'Runs two workloads over simulated engines under several routing policies and prints a table for each. Then it ' +
        'keeps serving, with light traffic to be seen on the page, until Ctrl-C.',
    )
    .addArgument(
      new Argument('[workload]', 'run only this one; cluster: the burst through one and three gateways').choices([
        ...workloadNames,
        'cluster',
      ]),
    )
    .option('--once', 'end after the tables, with exit code 1 if a request failed or a load is not zero')
    .option('--no-traffic', 'send nothing to the gateway that keeps running')
    .option('--json <file>', 'write the figures to this file')
    .option(
      '--rows <list>',
      `rows to compare, of ${demoRowNames.join(', ')} (default: all; fewer if both workloads run)`,
      rowNames,
    )
    .option('--workers <n>', 'number of simulated engines', integer('--workers', 1, 64), 8)
    .option(
      '--speedup <f>',
      'factor by which engines and arrivals are faster than real ones',
      number('--speedup', 0.1, 1000),
      1,
    )
    .option('--seed <n>', 'seed of prompts, arrivals and ties', integer('--seed', 0, 4_294_967_295), 1)
    .option('--port <n>', 'port of the gateway that keeps running', integer('--port', 0, 65_535), 8000)
    .addOption(
      new Option('--scale <f>', 'share of the requests')
        .argParser(number('--scale', 0.001, 100))
        .default(1)
        .hideHelp(),
    )
    .action(async (workload: WorkloadName | 'cluster' | undefined, flags: Flags) => {
      process.exitCode = await demo(workload, flags);
    });
  return addHelpNotes(command, {
    examples: [
      ['Both workloads in two minutes, then a gateway to play with:', 'kvoyant demo'],
      ['Three gateways that share over NATS, and three that do not:', 'kvoyant demo cluster'],
      ['One of them, with all its rows and the figures in a file:', 'kvoyant demo burst --once --json figures.json'],
    ],
  });
}

async function demo(workload: WorkloadName | 'cluster' | undefined, flags: Flags): Promise<number> {
  const interrupt = new AbortController();
  const onSignal = (): void => interrupt.abort();
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  const options: DemoOptions = {
    ...flags,
    script: fileURLToPath(new URL('./main.js', import.meta.url)),
    workloads: workload === undefined || workload === 'cluster' ? workloadNames : [workload],
    serveOn: flags.once !== true,
    signal: interrupt.signal,
    print: (line) => process.stdout.write(`${line}\n`),
    progress: new Progress(process.stderr, () => performance.now()),
    writeJson: async (figures) => {
      if (flags.json !== undefined) await writeFile(flags.json, `${JSON.stringify(figures, null, 2)}\n`);
    },
  };
  try {
    if (workload === 'cluster' && (flags.rows !== undefined || flags.json !== undefined)) {
      throw new Error('cluster has its own rows and prints one table: leave --rows and --json out');
    }
    if (flags.json !== undefined) await checkWritable(flags.json);
    return await (workload === 'cluster' ? runReplicasDemo(options) : runDemo(options));
  } catch (error) {
    options.progress.clear();
    if (interrupt.signal.aborted) return 130;
    process.stderr.write(`kvoyant demo: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/** Checks before the run, not two minutes later. @throws Error naming the flag */
async function checkWritable(file: string): Promise<void> {
  try {
    await (await open(file, 'a')).close();
  } catch (error) {
    throw new Error(`--json must be a file that can be written: ${(error as Error).message}`);
  }
}

function rowNames(text: string): RowName[] {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !demoRowNames.some((known) => known === name));
  if (unknown !== undefined) {
    throw new InvalidArgumentError(`--rows: ${JSON.stringify(unknown)} is none of ${demoRowNames.join(', ')}.`);
  }
  return demoRowNames.filter((name) => names.includes(name));
}

function integer(flag: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`${flag} must be an integer from ${min} to ${max}.`);
  };
}

function number(flag: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`${flag} must be a number from ${min} to ${max}.`);
  };
}

// `kvoyant check CONFIG`: reports the errors of a configuration, or the resulting settings.

import { Command } from 'commander';
import { stringify } from 'yaml';
import { ConfigError, type GatewayOptions, resolveConfig } from '../gateway/config/config.ts';
import { environmentName, shownConfig } from '../gateway/config/setting-texts.ts';
import { settingNames } from '../gateway/config/settings.ts';
import { addHelpNotes } from './help-layout.ts';
import { loadSettings } from './setting-sources.ts';
import { unknownVariables } from './unknown-variables.ts';

const timeoutSDefault = 10;

interface CheckFlags {
  readonly ignoreEnvironment?: true;
  readonly engines?: true;
  readonly timeoutS: number;
}

export function checkCommand(): Command {
  const command = new Command('check')
    .description('Checks a configuration file and shows the resulting settings, or whether its engines are there.')
    .argument('<config>', 'YAML file, as for serve --config')
    .option('--ignore-environment', 'ignore environment variables')
    .option('--engines', 'instead of showing the settings, connect to every engine, and print a line for each worker')
    .option('--timeout-s <s>', 'how long an engine may take to answer, in seconds', Number, timeoutSDefault);
  addHelpNotes(command, {
    examples: [
      ['Before a file goes into use:', 'kvoyant check kvoyant.yaml'],
      ['Are its engines there?', 'kvoyant check kvoyant.yaml --engines'],
    ],
    notes: [
      'The exit code is 0 if the gateway would start with it, else 1. Secrets are not shown.',
      'With --engines it is 0 only if every worker answers, serves the configured model, and its publisher of KV events ' +
        'answers. Nothing is computed; kvoyant doctor also compares tokens and blocks.',
    ],
  });
  return command.action(async (file: string, { ignoreEnvironment, engines, timeoutS }: CheckFlags) => {
    if (!(timeoutS > 0)) command.error('error: --timeout-s must be a number above 0');
    const environment = ignoreEnvironment === true ? {} : process.env;
    for (const notice of unknownVariables(environment)) console.error(`kvoyant: ${notice}`);
    try {
      const options = await loadSettings({ file, environment, flags: {} });
      if (engines === true) return await checkEngines(options, timeoutS * 1000);
      const changed = settingNames.map(environmentName).filter((variable) => environment[variable] !== undefined);
      if (changed.length > 0) console.log(`# with ${changed.join(', ')}`);
      console.log(stringify(shownConfig(resolveConfig(options))).trimEnd());
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      command.error(error.faults.map(({ message }) => message).join('\n'));
    }
  });
}

async function checkEngines(options: GatewayOptions, timeoutMs: number): Promise<void> {
  const { reachWorkers } = await import('../gateway/doctor/reach.ts');
  const workers = await reachWorkers(options, timeoutMs);
  const width = Math.max(0, ...workers.map(({ worker }) => worker.length));
  for (const { worker, reached, message } of workers) {
    console.log(`${worker.padEnd(width)}  ${reached ? 'ok   ' : 'FAULT'}  ${message}`);
  }
  if (workers.length === 0) console.log('no workers are configured');
  process.exitCode = workers.length > 0 && workers.every(({ reached }) => reached) ? 0 : 1;
}

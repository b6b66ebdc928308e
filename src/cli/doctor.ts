// `kvoyant doctor`: sends each engine a canary and reports faults of its tokens, cache and KV events.

import { Command, Option } from 'commander';
import type { SettingName } from '../gateway/config/settings.ts';
import { examineWorkers, type WorkerExam } from '../gateway/doctor/examine.ts';
import { ConfigError } from '../gateway/index.ts';
import { wrapText } from '../report/wrap-text.ts';
import { addHelpNotes, type HelpNotes } from './help-layout.ts';
import { addSettingFlags, settingsGiven } from './setting-flags.ts';
import { loadSettings } from './setting-sources.ts';

const timeoutSDefault = 60;
const lineLengthMax = 100;

/** Settings that affect the examination. */
const concerned: readonly SettingName[] = [
  'workers',
  'workersFile',
  'tokenizer',
  'tokenizeMsMax',
  'blockSize',
  'workerCaFile',
  'workerCertFile',
  'workerKeyFile',
  'logLevel',
];

const help: HelpNotes = {
  examples: [
    ['Is this engine ready for kvoyant?', 'kvoyant doctor --worker http://10.0.0.1:8000'],
    [
      'And does it agree with the tokenizer that serve is going to use?',
      'kvoyant doctor --worker http://10.0.0.1:8000 --tokenizer /models/llama-3.1-8b/tokenizer.json',
    ],
    ['All engines of a configuration:', 'kvoyant doctor --config kvoyant.yaml --json'],
  ],
  notes: [
    'Sends each worker the same small prompt twice. The exit code is 0 if every worker is sound, else 1.',
    'All flags of serve are accepted; those without an effect here are not shown.',
  ],
};

export function doctorCommand(): Command {
  const command = new Command('doctor')
    .description('Examines engines: checks tokens, block size, prefix cache and KV events.')
    .addOption(new Option('--config <file>', 'YAML file with settings, as for serve').env('KVOYANT_CONFIG'))
    .option('--json', 'print the findings as JSON')
    .option('--timeout-s <s>', 'how long an engine may take to answer, in seconds', Number, timeoutSDefault);
  addHelpNotes(command, help);
  addSettingFlags(command, (name) => concerned.includes(name));
  return command.action(async ({ json, timeoutS }: { json?: true; timeoutS: number }) => {
    if (!(timeoutS > 0)) command.error('error: --timeout-s must be a number above 0');
    const workers = await examine(command, timeoutS * 1000);
    if (json === true) console.log(JSON.stringify({ workers }, null, 2));
    else for (const line of workers.flatMap(describe)) console.log(line);
    process.exitCode = workers.every(({ sound }) => sound) ? 0 : 1;
  });
}

async function examine(command: Command, timeoutMs: number): Promise<WorkerExam[]> {
  try {
    const file = (command.getOptionValue('config') as string | undefined) ?? null;
    const options = await loadSettings({ file, environment: process.env, flags: settingsGiven(command) });
    return await examineWorkers(options, timeoutMs);
  } catch (error) {
    if (error instanceof ConfigError) command.error(error.faults.map(({ message }) => `error: ${message}`).join('\n'));
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== undefined) command.error(`error: ${message}`);
    throw error;
  }
}

function describe({ worker, sound, proof, findings, notes }: WorkerExam): string[] {
  const proved = proof.length === 0 ? 'nothing is proved' : `proved by ${proof.join(', ')}`;
  return [
    `${worker}  ${sound ? 'sound' : 'FAULTY'}  (${proved})`,
    ...findings.flatMap(({ cause, message }) => wrapText(`- ${cause}: ${message}`, lineLengthMax, '  ')),
    ...notes.flatMap((note) => wrapText(`- note: ${note}`, lineLengthMax, '  ')),
  ];
}

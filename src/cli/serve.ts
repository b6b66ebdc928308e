// `kvoyant serve`: runs a gateway with settings from a file, environment variables and flags, and reloads changed
// files.

import { Command, Option } from 'commander';
import { policyNames } from '../core/index.ts';
import { resolveConfig } from '../gateway/config/config.ts';
import { followFiles } from '../gateway/config/config-reload.ts';
import { examineWorkers } from '../gateway/doctor/examine.ts';
import {
  ConfigError,
  type EngineSpec,
  type Gateway,
  type GatewayConfig,
  type GatewayOptions,
  startGateway,
} from '../gateway/index.ts';
import { addHelpNotes, type HelpNotes } from './help-layout.ts';
import { rehearse } from './rehearsal.ts';
import { addSettingFlags, settingsGiven } from './setting-flags.ts';
import { loadSettings, type SettingSources } from './setting-sources.ts';
import { unknownVariables } from './unknown-variables.ts';
import { version } from './version.ts';
import { runWhatIf } from './what-if.ts';

/** Interval between two checks of the files. */
const fileIntervalMs = 1000;
/** How long an engine may take to answer the doctor. */
const examineMsMax = 60_000;
/** Exit code if answers were cut off at the end of the grace period. */
const brokenOffExitCode = 3;

const help: HelpNotes = {
  examples: [
    ['One vLLM that publishes its KV events:', 'kvoyant serve --worker http://10.0.0.1:8000'],
    [
      "Two, with the model's tokenizer, open to other machines (keys of clients in a file):",
      'kvoyant serve --worker http://10.0.0.1:8000 --worker http://10.0.0.2:8000 ' +
        '--tokenizer /models/llama-3.1-8b/tokenizer.json --host 0.0.0.0 --api-keys-file keys.yaml',
    ],
    ['All settings from a file, which is read again when it changes:', 'kvoyant serve --config kvoyant.yaml'],
  ],
  notes: [
    'Every setting can be given in the file by its name in camel case (queueWaitMsMax), in an environment variable ' +
      '(KVOYANT_QUEUE_WAIT_MS_MAX) and, unless it is a secret, as a flag. A flag overrides the variable, and the variable ' +
      'the file. The secrets are apiKeys (KVOYANT_API_KEYS), adminKey (KVOYANT_ADMIN_KEY) ' +
      'and viewKey (KVOYANT_VIEW_KEY).',
    'Every switch has its opposite: --canary and --no-canary, KVOYANT_CANARY=true and false. SIGHUP reads the file ' +
      'again. docs/configuration.md explains every setting.',
  ],
};

export function serveCommand(): Command {
  const command = new Command('serve')
    .description('Routes OpenAI API requests over inference engines.')
    .addOption(new Option('--config <file>', 'YAML file with settings').env('KVOYANT_CONFIG'))
    // For the demo only: a handicap, not a setting.
    .addOption(new Option('--late-booking', 'count a request as load only from its first token').hideHelp());
  addHelpNotes(command, help);
  addSettingFlags(command);
  return command.action(async () => {
    await serve(command);
  });
}

/** @param relays false: only the routes of the selection service are answered, besides those of operators */
export async function serve(command: Command, relays = true): Promise<void> {
  const sources: SettingSources = {
    file: (command.getOptionValue('config') as string | undefined) ?? null,
    environment: process.env,
    flags: settingsGiven(command),
  };
  for (const notice of unknownVariables(process.env)) console.error(`kvoyant: ${notice}`);
  const load = async (): Promise<GatewayOptions> => ({
    ...(await loadSettings(sources)),
    // Threads are for relayed requests.
    ...(!relays && { selection: true, threads: 1 }),
  });
  // From now on SIGHUP must not end the process, and one that comes during the start is not forgotten.
  let reload: (() => void) | null = null;
  let asked = false;
  process.on('SIGHUP', () => {
    asked = true;
    reload?.();
  });
  const gateway = await start(command, load, relays);
  const { policy } = gateway.config;
  // First: it is what people look for.
  if (gateway.adminUrl.startsWith('http') && gateway.config.adminPort !== 'none')
    console.log(`kvoyant's page: ${gateway.adminUrl}/dashboard/`);
  console.log(`kvoyant for operators at ${gateway.adminUrl} (metrics, workers, loads, decisions)`);
  if (gateway.healthUrl !== null) console.log(`kvoyant for health probes at ${gateway.healthUrl} (health, ready)`);
  console.log(
    `kvoyant ${relays ? 'listening' : 'selecting'} on ${gateway.url} (policy ${policy}, tokenizer ${gateway.tokenizerName})`,
  );
  reload = () => void gateway.reload(load);
  const watched = (): string[] => [...(sources.file === null ? [] : [sources.file]), ...gateway.referencedPaths];
  const unfollow = followFiles(watched, fileIntervalMs, reload);
  const stop = (): void => {
    unfollow();
    void gateway.close().then(({ brokenOffAnswers }) => process.exit(brokenOffAnswers === 0 ? 0 : brokenOffExitCode));
  };
  if (asked) reload();
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

/** Settings for the doctor of the page, which examines one engine. */
function alone(engine: EngineSpec, config: GatewayConfig): GatewayOptions {
  const { tokenizer, tokenizeMsMax, blockSize, workerCaFile, workerCertFile, workerKeyFile, allowLinkLocal } = config;
  const tls = { workerCaFile, workerCertFile, workerKeyFile };
  const { pools } = config;
  return { workers: [engine], pools, tokenizer, tokenizeMsMax, blockSize, ...tls, allowLinkLocal, logLevel: 'silent' };
}

/** Rehearses; an error is only reported, since the gateway starts without a rehearsal too. */
async function rehearseIfPossible(config: GatewayConfig): Promise<void> {
  try {
    await rehearse(config);
  } catch (error) {
    console.error(`kvoyant: the rehearsal failed, so the first burst may be slower: ${(error as Error).message}`);
  }
}

async function start(command: Command, load: () => Promise<GatewayOptions>, relays: boolean): Promise<Gateway> {
  try {
    const settings = await load();
    // Before the rehearsal, so that wrong settings are reported at once.
    const config = resolveConfig(settings);
    // The rehearsal is of relayed requests.
    if (config.rehearse && relays) await rehearseIfPossible(config);
    return await startGateway(settings, {
      lateBooking: command.getOptionValue('lateBooking') === true,
      relays,
      version: await version(),
      otel: true,
      whatIf: { run: runWhatIf, policies: policyNames },
      examine: (engine) => examineWorkers(alone(engine, config), examineMsMax),
    });
  } catch (error) {
    if (error instanceof ConfigError) command.error(error.faults.map(({ message }) => `error: ${message}`).join('\n'));
    const { code, message } = error as NodeJS.ErrnoException;
    // Expected start errors have a code, such as an address in use or a tokenizer that can't be loaded.
    if (code !== undefined) command.error(`error: ${message}`);
    throw error;
  }
}

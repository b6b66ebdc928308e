// `kvoyant serve`: a gateway from flags and environment variables.

import { Command, InvalidArgumentError, Option } from 'commander';
import { policyNames } from '../core/index.ts';
import { ConfigError, type Gateway, type GatewayOptions, logLevels, startGateway } from '../gateway/index.ts';

/** One flag: its name in `GatewayOptions`, how it is written, and what it means. */
interface Flag {
  readonly setting: keyof GatewayOptions;
  readonly flags: string;
  readonly description: string;
  readonly default?: string;
  readonly choices?: readonly string[];
  readonly parse?: (text: string) => unknown;
}

const flags: readonly Flag[] = [
  {
    setting: 'tokenizer',
    flags: '--tokenizer <spec>',
    description: 'builtin, none, or the path of a Hugging Face tokenizer.json',
    default: 'none',
  },
  {
    setting: 'trustTokenizer',
    flags: '--trust-tokenizer',
    description: 'use engines even if their /tokenize disagrees with the tokenizer',
  },
  {
    setting: 'blockSize',
    flags: '--block-size <tokens>',
    description: 'auto (as the engine says, else 16), or 1 to 65536',
    default: 'auto',
    parse: (text) => (text === 'auto' ? text : number(text)),
  },
  {
    setting: 'defaultCapacityBlocks',
    flags: '--default-capacity-blocks <n>',
    description: 'KV blocks of a worker that does not say how many it has',
    default: '8192',
    parse: number,
  },
  {
    setting: 'policy',
    flags: '--policy <name>',
    description: 'how a worker is chosen',
    default: 'kv',
    choices: policyNames,
  },
  {
    setting: 'overlapWeight',
    flags: '--overlap-weight <w>',
    description: 'kv: what a token of prefill costs against a token of occupied cache',
    default: '1',
    parse: number,
  },
  {
    setting: 'temperature',
    flags: '--temperature <t>',
    description: 'kv: 0 takes the lowest cost, more spreads',
    default: '0',
    parse: number,
  },
  {
    setting: 'kvForm',
    flags: '--kv-form <form>',
    description: 'kv: 1895 counts the prefill tokens in flight, 1731 does not',
    default: '1895',
    choices: ['1895', '1731'],
  },
  { setting: 'seed', flags: '--seed <n>', description: 'of every draw of chance', default: '0', parse: number },
  {
    setting: 'inFlightCredit',
    flags: '--no-in-flight-credit',
    description: 'do not count blocks promised by requests in flight as overlap',
  },
  {
    setting: 'bookAt',
    flags: '--book-at <when>',
    description: 'when the load of a request counts; first-token shows what late booking costs',
    default: 'choice',
    choices: ['choice', 'first-token'],
  },
  { setting: 'host', flags: '--host <address>', description: 'address to listen on', default: '127.0.0.1' },
  {
    setting: 'port',
    flags: '--port <n>',
    description: 'port to listen on; 0: any free one',
    default: '8000',
    parse: number,
  },
  {
    setting: 'bodyBytesMax',
    flags: '--body-bytes-max <n>',
    description: 'larger request bodies are refused with 413',
    default: '33554432',
    parse: number,
  },
  {
    setting: 'decisionsMax',
    flags: '--decisions-max <n>',
    description: 'decisions kept for /decisions; 0: none',
    default: '1024',
    parse: number,
  },
  {
    setting: 'probeIntervalMs',
    flags: '--probe-interval-ms <ms>',
    description: 'between two looks at an engine that is not ready',
    default: '1000',
    parse: number,
  },
  {
    setting: 'shutdownGraceMs',
    flags: '--shutdown-grace-ms <ms>',
    description: 'how long running answers may take to end after SIGTERM',
    default: '10000',
    parse: number,
  },
  {
    setting: 'logLevel',
    flags: '--log-level <level>',
    description: 'of the log on stderr',
    default: 'info',
    choices: logLevels,
  },
  { setting: 'logRequests', flags: '--log-requests', description: 'log one line a request' },
];

const workerHelp =
  'an engine: URL[,kv-events=tcp://HOST:PORT][,kv-replay=tcp://HOST:PORT][,api-key=KEY][,blocks=N][,block-size=N][,model=NAME]; ' +
  'repeatable, in the environment separated by blanks';

export function serveCommand(): Command {
  const command = new Command('serve')
    .description('route OpenAI API requests over inference engines')
    .addHelpText('after', '\nEvery flag can be given as an environment variable, too; the flag wins.');
  command.addOption(
    new Option('--worker <spec>', workerHelp)
      .env('KVOYANT_WORKER')
      .argParser((text: string, before: readonly string[] = []) => [...before, ...text.split(/\s+/).filter(Boolean)])
      .makeOptionMandatory(),
  );
  for (const flag of flags) command.addOption(optionOf(flag));
  return command.action(async (values: Record<string, unknown>) => {
    await serve(command, values);
  });
}

async function serve(command: Command, values: Record<string, unknown>): Promise<void> {
  const gateway = await start(command, values);
  const { policy } = gateway.config;
  console.log(`kvoyant listening on ${gateway.url} (policy ${policy}, tokenizer ${gateway.tokenizerName})`);
  const stop = (): void => {
    void gateway.close().then(() => process.exit(0));
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

async function start(command: Command, values: Record<string, unknown>): Promise<Gateway> {
  const { worker, ...settings } = values;
  try {
    return await startGateway({ ...settings, workers: worker } as GatewayOptions);
  } catch (error) {
    if (error instanceof ConfigError) command.error(`error: ${flagName(error.setting)} ${error.message}`);
    const { code, message } = error as NodeJS.ErrnoException;
    // Expected failures of a start have a code: the address is in use, the tokenizer can't be loaded.
    if (code !== undefined) command.error(`error: ${message}`);
    throw error;
  }
}

function optionOf(flag: Flag): Option {
  const option = new Option(flag.flags, flag.description);
  if (flag.choices !== undefined) option.choices(flag.choices);
  if (flag.parse !== undefined) option.argParser(flag.parse);
  if (flag.default !== undefined) option.default(flag.parse === undefined ? flag.default : flag.parse(flag.default));
  const variable = environmentName(flag.flags);
  const isSwitch = !flag.flags.includes('<');
  // A switch counts as given if its variable is there at all, so one that says no must stay out of sight.
  if (isSwitch && /^(0|false|no|off|)$/i.test(process.env[variable] ?? '')) option.description += ` (env: ${variable})`;
  else option.env(variable);
  return option;
}

function number(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isNaN(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}

function environmentName(flagText: string): string {
  return `KVOYANT_${longName(flagText).slice(2).replaceAll('-', '_').toUpperCase()}`;
}

function flagName(setting: string): string {
  if (setting === 'workers') return '--worker';
  return longName(flags.find((flag) => flag.setting === setting)?.flags ?? setting);
}

function longName(flagText: string): string {
  return flagText.split(' ', 1)[0]!;
}

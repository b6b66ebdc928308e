// The table of commands of the `kvoyant` program. Each is loaded only when it is needed.

import { Command } from 'commander';
import { addHelpNotes, layOutHelp } from './help-layout.ts';
import { version } from './version.ts';

interface Subcommand {
  /** Heading in the list of commands. */
  readonly group: string;
  readonly summary: string;
  load(): Promise<Command>;
}

const [serving, examining, trying, shell] = [
  'Commands that serve:',
  'Commands that examine:',
  'Commands to try and compare:',
  'Commands for the shell:',
];

export const subcommands: Readonly<Record<string, Subcommand>> = {
  serve: {
    group: serving,
    summary: 'route OpenAI API requests over inference engines',
    load: async () => (await import('./serve.ts')).serveCommand(),
  },
  select: {
    group: serving,
    summary: 'choose workers for proxies of your own, and keep the ledger: the router without the proxy',
    load: async () => (await import('./select.ts')).selectCommand(),
  },
  key: {
    group: serving,
    summary: 'make an API key, and its hash for the configuration',
    load: async () => (await import('./key.ts')).keyCommand(),
  },
  check: {
    group: examining,
    summary: 'check a configuration file, and show the resulting settings',
    load: async () => (await import('./check.ts')).checkCommand(),
  },
  doctor: {
    group: examining,
    summary: 'examine engines: tokens, block size, prefix cache, KV events',
    load: async () => (await import('./doctor.ts')).doctorCommand(),
  },
  top: {
    group: examining,
    summary: 'watch a running gateway in the terminal: its workers, their load and pace',
    load: async () => (await import('./top.ts')).topCommand(),
  },
  demo: {
    group: trying,
    summary: 'compare policies over simulated engines, then keep serving',
    load: async () => (await import('./demo.ts')).demoCommand(),
  },
  'sim-worker': {
    group: trying,
    summary: 'run simulated inference engines',
    load: async () => (await import('./sim-worker.ts')).simWorkerCommand(),
  },
  lab: {
    group: trying,
    summary: 'compare policies on workloads and traces in virtual time',
    load: async () => (await import('./lab.ts')).labCommand(),
  },
  completion: {
    group: shell,
    summary: 'print a script that completes commands, flags and values',
    load: async () => (await import('./completion.ts')).completionCommand(() => kvoyantProgram(() => true)),
  },
};

/** @param loads whether a command is loaded with its flags; the others are only listed */
export async function kvoyantProgram(loads: (name: string) => boolean): Promise<Command> {
  const program = new Command('kvoyant')
    .description(
      'An LLM inference router. It sends each request to the engine that already holds most of its prompt in its ' +
        'cache and has room for the work.',
    )
    .version(await version(), '-V, --version', 'show the version')
    .addHelpCommand(
      new Command('help').argument('[command]').description('show the help of a command').helpGroup(shell),
    );
  for (const [name, { group, summary, load }] of Object.entries(subcommands)) {
    const command = loads(name) ? await load() : new Command(name).description(summary);
    program.addCommand(command.helpGroup(group));
  }
  addHelpNotes(program, {
    examples: [
      ['Try it with simulated engines:', 'kvoyant demo'],
      ['Route over two engines:', 'kvoyant serve --worker http://10.0.0.1:8000 --worker http://10.0.0.2:8000'],
    ],
    notes: [
      'Exit codes: 0 if it did what it was told; 1 if it could not, or found a fault (check, doctor); 3 if serve had to ' +
        'break off answers at its end.',
    ],
  });
  return layOutHelp(program);
}

#!/usr/bin/env node
// The `kvoyant` program: finds the subcommand and loads only its modules.

import { Command } from 'commander';
import { addHelpNotes, layOutHelp } from './help-layout.ts';
import { version } from './version.ts';

const subcommands: Readonly<Record<string, { readonly summary: string; load(): Promise<Command> }>> = {
  serve: {
    summary: 'route OpenAI API requests over inference engines',
    load: async () => (await import('./serve.ts')).serveCommand(),
  },
  select: {
    summary: 'choose workers for proxies of your own, and keep the ledger: the router without the proxy',
    load: async () => (await import('./select.ts')).selectCommand(),
  },
  check: {
    summary: 'check a configuration file, and show the resulting settings',
    load: async () => (await import('./check.ts')).checkCommand(),
  },
  top: {
    summary: 'watch a running gateway in the terminal: its workers, their load and pace',
    load: async () => (await import('./top.ts')).topCommand(),
  },
  doctor: {
    summary: 'examine engines: tokens, block size, prefix cache, KV events',
    load: async () => (await import('./doctor.ts')).doctorCommand(),
  },
  key: {
    summary: 'make an API key, and its hash for the configuration',
    load: async () => (await import('./key.ts')).keyCommand(),
  },
  'sim-worker': {
    summary: 'run simulated inference engines',
    load: async () => (await import('./sim-worker.ts')).simWorkerCommand(),
  },
  demo: {
    summary: 'compare policies over simulated engines, then keep serving',
    load: async () => (await import('./demo.ts')).demoCommand(),
  },
  lab: {
    summary: 'compare policies on workloads and traces in virtual time',
    load: async () => (await import('./lab.ts')).labCommand(),
  },
};

const program = new Command('kvoyant')
  .description(
    'An LLM inference router. It sends each request to the engine that already holds most of its prompt in its cache ' +
      'and has room for the work.',
  )
  .version(await version(), '-V, --version', 'show the version');

const [first = '', second = ''] = process.argv.slice(2);
const name = first === 'help' ? second : first;
for (const [command, { summary, load }] of Object.entries(subcommands)) {
  if (command === name) program.addCommand(await load());
  // Only for the list of commands. Never run.
  else program.command(command).description(summary);
}
addHelpNotes(program, {
  examples: [
    ['Try it with simulated engines:', 'kvoyant demo'],
    ['Route over two engines:', 'kvoyant serve --worker http://10.0.0.1:8000 --worker http://10.0.0.2:8000'],
  ],
});
layOutHelp(program);
if (first === '') program.help({ error: true });
await program.parseAsync();

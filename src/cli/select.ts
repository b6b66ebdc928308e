// `kvoyant select`: the router without the proxy, for programs that send requests to engines themselves.

import { Command, Option } from 'commander';
import type { SettingName } from '../gateway/config/settings.ts';
import { addHelpNotes, type HelpNotes } from './help-layout.ts';
import { serve } from './serve.ts';
import { addSettingFlags } from './setting-flags.ts';

const help: HelpNotes = {
  examples: [
    ['Over one vLLM that publishes its KV events:', 'kvoyant select --worker http://10.0.0.1:8000'],
    [
      'Open to the proxies of other machines, which need a key:',
      'KVOYANT_ADMIN_KEY=... kvoyant select --worker http://10.0.0.1:8000 --host 0.0.0.0',
    ],
    ['With the file of kvoyant serve:', 'kvoyant select --config kvoyant.yaml'],
  ],
  notes: [
    'It joins engines and reads their KV events as kvoyant serve does, with the same settings, and relays nothing. ' +
      'kvoyant serve --selection answers the same routes beside those of clients. docs/selection.md explains them.',
  ],
};

/** Settings that only `kvoyant serve` has a use for. */
const ofServe: readonly SettingName[] = ['selection', 'rehearse', 'threads'];

export function selectCommand(): Command {
  const command = new Command('select')
    .description('Chooses workers and keeps the ledger of requests in flight, for proxies that relay them.')
    .addOption(new Option('--config <file>', 'YAML file with settings').env('KVOYANT_CONFIG'));
  addHelpNotes(command, help);
  addSettingFlags(command, (name) => !ofServe.includes(name));
  return command.action(async () => {
    await serve(command, false);
  });
}

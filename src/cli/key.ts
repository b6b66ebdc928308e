// `kvoyant key NAME`: generates an API key. The configuration gets its hash, the client gets the key.

import { Command } from 'commander';
import { stringify } from 'yaml';
import { keyNameForm, keyNameRule } from '../gateway/config/api-keys.ts';
import { hashSecret, newSecret } from '../gateway/config/secret-hash.ts';

export function keyCommand(): Command {
  return new Command('key')
    .description('Makes an API key. Prints the key on stderr, and its entry for apiKeys or apiKeysFile on stdout.')
    .argument('<name>', 'name of the client in logs and metrics')
    .action((name: string, _options: object, command: Command) => {
      if (!keyNameForm.test(name)) command.error(`error: the name ${keyNameRule}`);
      const secret = newSecret();
      console.error(`${secret}   (shown only now)`);
      console.log(stringify([{ name, key: hashSecret(secret) }]).trimEnd());
    });
}

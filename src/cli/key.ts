// `kvoyant key NAME`: makes an API key; the configuration gets its hash, the client the key.

import { Command } from 'commander';
import { stringify } from 'yaml';
import { keyNameForm, keyNameRule } from '../gateway/config/api-keys.ts';
import { hashSecret, newSecret } from '../gateway/config/secret-hash.ts';

export function keyCommand(): Command {
  return new Command('key')
    .description('make an API key; the key goes to stderr, what belongs into apiKeys or apiKeysFile to stdout')
    .argument('<name>', 'stands for the key in logs')
    .action((name: string, _options: object, command: Command) => {
      if (!keyNameForm.test(name)) command.error(`error: the name ${keyNameRule}`);
      const secret = newSecret();
      console.error(`${secret}   (shown only now)`);
      console.log(stringify([{ name, key: hashSecret(secret) }]).trimEnd());
    });
}

// `kvoyant check CONFIG`: says what is wrong with a configuration, or what it comes to.

import { Command } from 'commander';
import { stringify } from 'yaml';
import { ConfigError, resolveConfig } from '../gateway/config/config.ts';
import { environmentName, settingNames, shownConfig } from '../gateway/config/settings.ts';
import { loadSettings } from './setting-sources.ts';

export function checkCommand(): Command {
  const command = new Command('check')
    .description('check a configuration file, and show what it comes to; starts nothing')
    .argument('<config>', 'YAML file, as for serve --config')
    .option('--ignore-environment', 'without what environment variables would change')
    .addHelpText('after', '\nThe exit code is 0 if the gateway would start with it, else 1. Secrets are not shown.');
  return command.action(async (file: string, { ignoreEnvironment }: { ignoreEnvironment?: true }) => {
    const environment = ignoreEnvironment === true ? {} : process.env;
    try {
      const options = await loadSettings({ file, environment, flags: {} });
      const changed = settingNames.map(environmentName).filter((variable) => environment[variable] !== undefined);
      if (changed.length > 0) console.log(`# with ${changed.join(', ')}`);
      console.log(stringify(shownConfig(resolveConfig(options))).trimEnd());
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      command.error(error.faults.map(({ message }) => message).join('\n'));
    }
  });
}

// `kvoyant check CONFIG`: reports the errors of a configuration, or the resulting settings.

import { Command } from 'commander';
import { stringify } from 'yaml';
import { ConfigError, resolveConfig } from '../gateway/config/config.ts';
import { environmentName, shownConfig } from '../gateway/config/setting-texts.ts';
import { settingNames } from '../gateway/config/settings.ts';
import { addHelpNotes } from './help-layout.ts';
import { loadSettings } from './setting-sources.ts';
import { unknownVariables } from './unknown-variables.ts';

export function checkCommand(): Command {
  const command = new Command('check')
    .description('Checks a configuration file and shows the resulting settings. Starts nothing.')
    .argument('<config>', 'YAML file, as for serve --config')
    .option('--ignore-environment', 'ignore environment variables');
  addHelpNotes(command, {
    examples: [['Before a file goes into use:', 'kvoyant check kvoyant.yaml']],
    notes: ['The exit code is 0 if the gateway would start with it, else 1. Secrets are not shown.'],
  });
  return command.action(async (file: string, { ignoreEnvironment }: { ignoreEnvironment?: true }) => {
    const environment = ignoreEnvironment === true ? {} : process.env;
    for (const notice of unknownVariables(environment)) console.error(`kvoyant: ${notice}`);
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

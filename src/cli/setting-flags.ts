// Command-line flags of the settings, with their help.

import { type Command, Option } from 'commander';
import { defaultOf, flagName, settingFromText } from '../gateway/config/setting-texts.ts';
import { type SettingName, settingNames, settingOf } from '../gateway/config/settings.ts';

/** Headings of the help by their first setting. A heading applies until the next one. */
const groups: Readonly<Partial<Record<SettingName, string>>> = {
  workers: 'Engines:',
  tokenizer: 'Prompts and tokens:',
  policy: 'Choice of the worker:',
  queue: 'Queue:',
  host: 'Listening, keys and TLS:',
  bodyBytesMax: 'Limits:',
  nats: 'Replicas:',
  injectUsage: 'Records:',
  probeIntervalMs: 'Health of the engines:',
  selection: 'Selection service:',
  shutdownNoticeMs: 'Stop, log and start:',
};

/**
 * A boolean setting has two flags. The help shows the one that changes the default.
 * @param isShown whether the help shows the flag; hidden flags work too
 */
export function addSettingFlags(command: Command, isShown: (name: SettingName) => boolean = () => true): void {
  let group = '';
  for (const name of settingNames) {
    group = groups[name] ?? group;
    const flag = flagName(name);
    if (flag === null) continue;
    const { kind, value } = settingOf(name);
    if (kind === 'switch') {
      command.addOption(new Option(flag, description(name)).helpGroup(group).hideHelp(!isShown(name)));
      command.addOption(new Option(opposite(flag)).hideHelp());
    } else {
      const option = new Option(`${flag} <${value}>`, description(name)).helpGroup(group).hideHelp(!isShown(name));
      command.addOption(option.argParser((text: string, before: unknown) => parsed(name, text, before)));
    }
  }
}

/** Values given by flags, by setting name. */
export function settingsGiven(command: Command): Partial<Record<SettingName, unknown>> {
  const given: Partial<Record<SettingName, unknown>> = {};
  for (const name of settingNames) {
    const key = name === 'workers' ? 'worker' : name;
    // A boolean flag with a negation has a value even if it was not given.
    if (command.getOptionValueSource(key) === 'cli') given[name] = command.getOptionValue(key) as unknown;
  }
  return given;
}

function description(name: SettingName): string {
  const { kind, choices, description: text } = settingOf(name);
  const what = kind === 'switch' && defaultOf(name) === true ? `do not ${text}` : text;
  const notes = [
    ...(choices === undefined ? [] : [`one of ${choices.join(', ')}`]),
    ...(hasDefault(name) ? [`default: ${defaultOf(name)}`] : []),
  ];
  return notes.length === 0 ? what : `${what} (${notes.join('; ')})`;
}

function hasDefault(name: SettingName): boolean {
  const value = defaultOf(name);
  return typeof value === 'string' || typeof value === 'number';
}

function parsed(name: SettingName, text: string, before: unknown): unknown {
  const value = settingFromText(name, text);
  return Array.isArray(value) ? [...((before as unknown[] | undefined) ?? []), ...(value as unknown[])] : value;
}

function opposite(flag: string): string {
  return flag.startsWith('--no-') ? flag.replace('--no-', '--') : flag.replace('--', '--no-');
}

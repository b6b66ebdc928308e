// What a shell can complete: commands, flags and values, read from the tables that the help is made from.

import type { Command, Option } from 'commander';
import { flagName } from '../gateway/config/setting-texts.ts';
import { settingNames, settingOf } from '../gateway/config/settings.ts';

/** What follows a flag, or stands in the place of an argument. */
export type Completed =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'files' }
  /** Anything: there is nothing to offer. */
  | { readonly kind: 'any' };

export interface CompletedFlag {
  /** With its dashes. */
  readonly name: string;
  readonly description: string;
  /** Null: it takes no value. */
  readonly value: Completed | null;
}

/** One command; the program itself has the empty path. */
export interface CompletedCommand {
  /** Such as `/lab/run`. */
  readonly path: string;
  readonly name: string;
  readonly description: string;
  readonly flags: readonly CompletedFlag[];
  readonly argument: Completed | null;
  readonly commands: readonly CompletedCommand[];
}

/** Placeholders and names of arguments that stand for a file or a folder. */
const filePlaceholder = /^(path|file|folder|directory|dir|config|trace|html|svg)$/i;

export function completedCommand(command: Command, above: string | null = null): CompletedCommand {
  const path = above === null ? '' : `${above}/${command.name()}`;
  const help = command.createHelp();
  const [argument] = command.registeredArguments;
  return {
    path,
    name: command.name(),
    description: firstSentence(command.description()),
    flags: help.visibleOptions(command).flatMap(flagOf),
    argument: argument === undefined ? null : completedBy(argument.argChoices, argument.name()),
    commands: help
      .visibleCommands(command)
      .filter((one) => one.name() !== 'help')
      .map((one) => completedCommand(one, path)),
  };
}

/** The command and all below it. */
export function allCommands(command: CompletedCommand): CompletedCommand[] {
  return [command, ...command.commands.flatMap(allCommands)];
}

function flagOf(option: Option): CompletedFlag[] {
  const { long, flags, description, argChoices, required, optional } = option;
  if (long == null) return [];
  const placeholder = /[<[]([^>\]]*)/.exec(flags)?.[1] ?? '';
  const value = required || optional ? completedBy(argChoices ?? settingChoices(long), placeholder) : null;
  return [{ name: long, description: firstSentence(description), value }];
}

function completedBy(choices: readonly string[] | undefined, placeholder: string): Completed {
  if (choices !== undefined) return { kind: 'words', words: choices };
  return filePlaceholder.test(placeholder) ? { kind: 'files' } : { kind: 'any' };
}

function settingChoices(flag: string): readonly string[] | undefined {
  const setting = settingNames.find((name) => flagName(name) === flag);
  return setting === undefined ? undefined : settingOf(setting).choices;
}

/** A list of matches has one line for each. */
function firstSentence(text: string): string {
  return text.split(/(?<=\.)\s|\n|; /)[0]!.replace(/\.$/, '');
}

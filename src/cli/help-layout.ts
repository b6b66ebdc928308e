// Layout of all help texts: a column of flags, a column of descriptions, and examples, wrapped to the terminal.

import type { Command } from 'commander';
import { wrapText } from '../report/wrap-text.ts';

/** Longest line on wide terminals, for readability. */
const widthMax = 120;
/** Width if the output is not a terminal. */
const widthDefault = 80;
const indent = '  ';
/** The description of a longer flag goes below it. */
const termWidthMax = 26;

export interface HelpNotes {
  /** Pairs of purpose and command line. */
  readonly examples?: readonly (readonly [purpose: string, commandLine: string])[];
  /** Paragraphs, each on one line. */
  readonly notes?: readonly string[];
}

/** Also applies to the existing subcommands of the command. */
export function layOutHelp(command: Command): Command {
  command.configureHelp({
    prepareContext({ helpWidth }) {
      this.helpWidth = widthOf(helpWidth);
    },
    padWidth: (shown, helper) => {
      const terms = [
        ...helper.visibleOptions(shown).map((option) => helper.optionTerm(option)),
        ...helper.visibleCommands(shown).map((subcommand) => helper.subcommandTerm(subcommand)),
        ...helper.visibleArguments(shown).map((argument) => helper.argumentTerm(argument)),
      ];
      return Math.min(termWidthMax, Math.max(...terms.map(({ length }) => length)));
    },
    formatItem: (term, termWidth, description, helper) => {
      const column = indent.length + termWidth + indent.length;
      const lines =
        description === ''
          ? []
          : wrapText(breakable(description, helper.helpWidth! - column), helper.helpWidth! - column);
      if (term.length > termWidth) return [indent + term, ...lines.map((line) => ' '.repeat(column) + line)].join('\n');
      const [first = '', ...others] = lines;
      const head = `${indent}${term.padEnd(termWidth)}${indent}${first}`.trimEnd();
      return [head, ...others.map((line) => ' '.repeat(column) + line)].join('\n');
    },
  });
  for (const subcommand of command.commands) layOutHelp(subcommand);
  return command;
}

/** Adds examples and notes below the flags. */
export function addHelpNotes(command: Command, { examples = [], notes = [] }: HelpNotes): Command {
  return command.addHelpText('after', () => {
    const width = widthOf(command.configureOutput().getOutHelpWidth?.());
    const lines: string[] = [];
    if (examples.length > 0) lines.push('', 'Examples:');
    for (const [at, [purpose, commandLine]] of examples.entries()) {
      if (at > 0) lines.push('');
      const comment = wrapText(purpose, width - `${indent}# `.length);
      lines.push(...comment.map((line) => `${indent}# ${line}`), ...commandLines(commandLine, width));
    }
    for (const note of notes) lines.push('', ...wrapText(note, width));
    return lines.join('\n');
  });
}

/** Makes a long list without spaces breakable after its commas. */
function breakable(description: string, width: number): string {
  const words = description.split(' ');
  return words.map((word) => (word.length > width ? word.replaceAll(',', ', ') : word)).join(' ');
}

/** Wraps a command line with backslashes, so that a shell accepts it. */
function commandLines(commandLine: string, width: number): string[] {
  const lines = wrapText(commandLine, width - indent.length - ' \\'.length, indent);
  return lines.map((line, at) => indent + line + (at < lines.length - 1 ? ' \\' : ''));
}

/** @param terminalWidth undefined if the output is not a terminal */
function widthOf(terminalWidth: number | undefined): number {
  return Math.min(widthMax, terminalWidth || widthDefault);
}

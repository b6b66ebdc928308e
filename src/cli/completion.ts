// `kvoyant completion SHELL`: prints a script that completes commands, flags and values.

import { Argument, Command } from 'commander';
import { completionScript, type Shell, shells } from './completion-scripts.ts';
import { completedCommand } from './completion-tree.ts';
import { addHelpNotes } from './help-layout.ts';

/** @param program with all commands and their flags */
export function completionCommand(program: () => Promise<Command>): Command {
  const command = new Command('completion')
    .description('Prints a script that completes commands, flags and values in a shell.')
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .action(async (shell: Shell) => {
      process.stdout.write(completionScript(shell, completedCommand(await program())));
    });
  return addHelpNotes(command, {
    examples: [
      ['bash, for this user:', 'kvoyant completion bash > ~/.local/share/bash-completion/completions/kvoyant'],
      ['zsh, for this terminal (needs compinit):', 'eval "$(kvoyant completion zsh)"'],
      ['fish, for this user:', 'kvoyant completion fish > ~/.config/fish/completions/kvoyant.fish'],
    ],
    notes: ['Make the script anew after an update: it holds the commands and flags of this version.'],
  });
}

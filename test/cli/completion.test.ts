// The completion scripts, evaluated by the shells themselves: bash always, zsh and fish where they are installed.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kvoyantProgram } from '../../src/cli/commands.ts';
import { completionScript, shells } from '../../src/cli/completion-scripts.ts';
import { allCommands, type CompletedCommand, completedCommand } from '../../src/cli/completion-tree.ts';
import { policyNames } from '../../src/core/index.ts';
import { flagName } from '../../src/gateway/config/setting-texts.ts';
import { settingNames } from '../../src/gateway/config/settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'kvoyant-completion-'));
let program: CompletedCommand;
beforeAll(async () => {
  program = completedCommand(await kvoyantProgram(() => true));
  for (const shell of shells) writeFileSync(join(folder, shell), completionScript(shell, program));
  writeFileSync(join(folder, 'a file.yaml'), '');
});
afterAll(() => rmSync(folder, { recursive: true }));

function isInstalled(shell: string): boolean {
  try {
    execFileSync(shell, ['-c', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const run = (shell: string, script: string, args: readonly string[] = []): string[] =>
  execFileSync(shell, [...args, '-c', script], { encoding: 'utf8', cwd: folder })
    .split('\n')
    .filter(Boolean);

const word = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** What a shell offers for the last of these words. */
const offers: Readonly<Record<(typeof shells)[number], (words: readonly string[]) => string[]>> = {
  bash: (words) =>
    run(
      'bash',
      `source ./bash
      COMP_WORDS=(kvoyant ${words.map(word).join(' ')}); COMP_CWORD=${words.length}
      COMPREPLY=(); _kvoyant; printf '%s\\n' "\${COMPREPLY[@]}"`,
    ),
  // Its completion needs a terminal: the functions that show what was found are replaced.
  zsh: (words) =>
    run(
      'zsh',
      `compdef() { }; _describe() { print -l -- "\${(@)\${(@P)@[-1]}%%:*}" | grep -e "^$words[CURRENT]" }
      _files() { print -l -- *(N) }; compadd() { shift; print -l -- "$@" }; _message() { }
      words=(kvoyant ${words.map(word).join(' ')}); CURRENT=${words.length + 1}
      source ./zsh; _kvoyant; true`,
      ['-f'],
    ),
  fish: (words) =>
    run('fish', `source ./fish; complete -C ${word(`kvoyant ${words.join(' ')}`)}`, ['--no-config']).map(
      (line) => line.split('\t')[0]!,
    ),
};

describe.each(shells.map((shell) => [shell, offers[shell]] as const))('in %s', (shell, offered) => {
  describe.skipIf(!isInstalled(shell))('the script', () => {
    it('completes commands, also below others', () => {
      expect(offered(['s']).sort()).toEqual(['select', 'serve', 'sim-worker']);
      expect(offered(['lab', 'c']).sort()).toEqual(['capacity', 'compare']);
      expect(offered(['completion', '']).sort()).toEqual([...shells].sort());
    });

    it('completes every shown flag of every command', () => {
      for (const { path, flags } of allCommands(program)) {
        const names = flags.map(({ name }) => name).sort();
        expect(offered([...path.split('/').filter(Boolean), '--']).sort(), path).toEqual(names);
      }
    });

    it('completes values from the table of settings', () => {
      const policies = offered(['serve', '--policy', '']).sort();
      expect(policies).toEqual([...policyNames].sort());
      // Words that are values do not lead astray.
      expect(offered(['serve', '--host', 'lab', '--policy', ''])).toHaveLength(policyNames.length);
    });

    it('completes files where a file is meant, and nothing where any value is', () => {
      expect(offered(['serve', '--config', '']).join()).toContain('file.yaml');
      expect(offered(['check', '']).join()).toContain('file.yaml');
      expect(offered(['serve', '--port', ''])).toEqual([]);
    });
  });
});

it('completes after the equals sign, which bash gives as a word of its own', () => {
  expect(offers.bash(['serve', '--policy', '=', 'pow'])).toEqual(['power-of-two']);
  expect(offers.bash(['serve', '--policy', '='])).toEqual([...policyNames]);
  expect(offers.bash(['serve', '--config', '=', 'a f'])).toEqual(['a file.yaml']);
});

it('knows every setting that has a flag', () => {
  const serve = allCommands(program).find(({ path }) => path === '/serve')!;
  const known = serve.flags.map(({ name }) => name);
  for (const flag of settingNames.map(flagName)) if (flag !== null) expect(known).toContain(flag);
});

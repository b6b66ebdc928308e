import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { checkCommand } from '../../src/cli/check.ts';
import { demoCommand } from '../../src/cli/demo.ts';
import { doctorCommand } from '../../src/cli/doctor.ts';
import { layOutHelp } from '../../src/cli/help-layout.ts';
import { keyCommand } from '../../src/cli/key.ts';
import { labCommand } from '../../src/cli/lab.ts';
import { serveCommand } from '../../src/cli/serve.ts';
import { simWorkerCommand } from '../../src/cli/sim-worker.ts';
import { flagName } from '../../src/gateway/config/setting-texts.ts';
import { settingNames } from '../../src/gateway/config/settings.ts';

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** The whole help, in a terminal of that width. */
function helpOf(command: Command, width: number): string {
  let help = '';
  const writeOut = (text: string): void => {
    help += text;
  };
  layOutHelp(command.configureOutput({ getOutHelpWidth: () => width, writeOut })).outputHelp();
  return help;
}

const longest = (help: string): number => Math.max(...help.split('\n').map(({ length }) => length));

const labCommands = (): [string, () => Command][] =>
  labCommand().commands.map((command) => [
    `lab ${command.name()}`,
    () => labCommand().commands.find((other) => other.name() === command.name())!,
  ]);

describe.each<[string, () => Command]>([
  ['serve', serveCommand],
  ['check', checkCommand],
  ['doctor', doctorCommand],
  ['key', keyCommand],
  ['sim-worker', simWorkerCommand],
  ['demo', demoCommand],
  ['lab', labCommand],
  ...labCommands(),
])('the help of %s', (_name, create) => {
  it.each([80, 120])('fits a terminal of %i columns', (width) => {
    expect(longest(helpOf(create(), width))).toBeLessThanOrEqual(width);
  });

  it('uses the available width, up to 120 columns', () => {
    const [narrow, wide, widest] = [80, 120, 400].map((width) => helpOf(create(), width));
    expect(narrow!.split('\n').length).toBeGreaterThanOrEqual(wide!.split('\n').length);
    expect(longest(widest!)).toBe(longest(wide!));
  });

  it('keeps every word of an explanation', () => {
    const command = create();
    const words = helpOf(command, 80).replace(/\s+/g, '');
    const shown = command.options.filter(({ hidden }) => !hidden).map(({ description }) => description);
    for (const text of [command.description(), ...shown]) expect(words).toContain(text.replace(/\s+/g, ''));
  });
});

describe('kvoyant serve --help', () => {
  it('has every setting under a heading', () => {
    const help = helpOf(serveCommand(), 80);
    const flags = settingNames.map(flagName).filter((flag) => flag !== null);
    let heading = '';
    const found = new Map<string, string>();
    for (const line of help.split('\n')) {
      if (/^[A-Z].*:$/.test(line)) heading = line;
      const flag = /^ {2}(--[a-z0-9-]+)/.exec(line)?.[1];
      if (flag !== undefined) found.set(flag, heading);
    }
    for (const flag of flags)
      expect([flag, found.get(flag)]).toEqual([flag, expect.not.stringMatching(/^Options:|^$/)]);
    expect(found.get('--policy')).toBe('Choice of the worker:');
    expect(found.get('--queue-wait-ms-max')).toBe('Queue:');
    expect(new Set(found.values()).size).toBeGreaterThan(6);
  });

  it('shows examples that a shell reads as one command', () => {
    const examples = helpOf(serveCommand(), 80).split('Examples:')[1]!;
    expect(examples).toContain('--worker http://10.0.0.2:8000 \\\n    --tokenizer');
  });
});

describe("the program's help", () => {
  const run = (...args: string[]): { code: number; said: string } => {
    try {
      return { code: 0, said: execFileSync(process.execPath, [program, ...args], { encoding: 'utf8', stdio: 'pipe' }) };
    } catch (error) {
      const { status, stderr } = error as { status: number; stderr: string };
      return { code: status, said: stderr };
    }
  };

  it('has the same layout', () => {
    const { code, said } = run('serve', '--help');
    expect(code).toBe(0);
    expect(longest(said)).toBeLessThanOrEqual(80);
    expect(said).toContain('\nQueue:\n');
    expect(longest(run('--help').said)).toBeLessThanOrEqual(80);
    // Every command stands under a theme.
    expect(run('--help').said).not.toContain('\nCommands:');
    expect(run('--help').said).toMatch(/Commands that serve:\n {2}serve /);
  });

  it.each([
    [['serve', '--tokeniser', 'x'], "error: unknown option '--tokeniser'\n(Did you mean --tokenizer?)"],
    [['sim-worker', '--block-sise', '4'], "error: unknown option '--block-sise'\n(Did you mean --block-size?)"],
    [['demo', '--onse'], "error: unknown option '--onse'\n(Did you mean --once?)"],
    [['serv'], "error: unknown command 'serv'\n(Did you mean serve?)"],
    [['lab', 'compar'], "error: unknown command 'compar'\n(Did you mean compare?)"],
  ])('suggests a correction for %j', (args, message) => {
    expect(run(...args)).toEqual({ code: 1, said: `${message}\n` });
  });
});

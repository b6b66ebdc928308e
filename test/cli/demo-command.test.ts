import { CommanderError } from 'commander';
import { describe, expect, it, vi } from 'vitest';
import { demoCommand } from '../../src/cli/demo.ts';

/** The command's error message for refused arguments. */
function refusal(...args: string[]): string {
  let said = '';
  const command = demoCommand()
    .exitOverride()
    .configureOutput({
      writeErr: (text) => {
        said += text;
      },
    });
  try {
    command.parse(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return said;
    throw error;
  }
  throw new Error('not refused');
}

describe('kvoyant demo', () => {
  it.each([
    [['other'], "'other' is invalid for argument 'workload'. Allowed choices are burst, pr1731, cluster"],
    [['--speedup', '0'], '--speedup must be a number from 0.1 to 1000'],
    [['--speedup', 'fast'], '--speedup must be a number'],
    [['--port', '70000'], '--port must be an integer from 0 to 65535'],
    [['--port', ''], '--port must be an integer'],
    [['--seed', '1.5'], '--seed must be an integer from 0 to 4294967295'],
    [['--workers', '0'], '--workers must be an integer from 1 to 64'],
    [
      ['--rows', 'kv,best'],
      '--rows: "best" is none of round-robin, foresee, kv, lmetric, dynamo, kv-weight-0, kv-no-credit, kv-late-booking',
    ],
    [['--what'], "unknown option '--what'"],
  ])('refuses %j, naming the flag and the allowed values', (args, message) => {
    expect(refusal(...args)).toContain(message);
  });

  it('refuses an unwritable file before it runs anything', async () => {
    const written: string[] = [];
    const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((text) => written.push(String(text)) > 0);
    await demoCommand().parseAsync(['--json', '/no/such/folder/figures.json'], { from: 'user' });
    stderr.mockRestore();
    expect(process.exitCode).toBe(1);
    process.exitCode = undefined;
    expect(written.join('')).toContain('--json must be a file that can be written: ENOENT');
  });

  it('refuses rows for the demo of replicas, which has its own', async () => {
    const written: string[] = [];
    const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((text) => written.push(String(text)) > 0);
    await demoCommand().parseAsync(['cluster', '--rows', 'kv'], { from: 'user' });
    stderr.mockRestore();
    expect(process.exitCode).toBe(1);
    process.exitCode = undefined;
    expect(written.join('')).toContain('cluster has its own rows and prints one table: leave --rows and --json out');
  });

  it('explains every flag except the one for tests', () => {
    const help = demoCommand().helpInformation();
    for (const flag of ['--once', '--json', '--rows', '--workers', '--speedup', '--seed', '--port', 'burst']) {
      expect(help).toContain(flag);
    }
    expect(help).not.toContain('--scale');
  });
});

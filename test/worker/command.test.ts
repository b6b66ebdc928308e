// The command line of the simulated engines.

import { describe, expect, it } from 'vitest';
import { simWorkerCommand } from '../../src/cli/sim-worker.ts';

async function run(args: string[]): Promise<string> {
  let output = '';
  const command = simWorkerCommand()
    .exitOverride()
    .configureOutput({
      writeErr: (text) => {
        output += text;
      },
    });
  await expect(command.parseAsync(args, { from: 'user' })).rejects.toThrow();
  return output;
}

describe('kvoyant sim-worker', () => {
  it.each([
    [['--count', 'many'], '--count must be an integer in 1 .. 1024'],
    [['--speedup', ''], '--speedup must be a number in 0.001 .. 100000'],
    [['--profile', 'h100'], '--profile must be one of l40s-llama8b, l40s-llama8b-analytic, '],
    [['--tokenizer', 'no-such-file.json'], 'no-such-file.json'],
    [['--port', '1', '--speed', '3'], '--speed'],
    [['--write-tokenizer', '/dev/null'], '--write-tokenizer: EEXIST'],
    [
      ['--write-tokenizer', 'tok', '--tokenizer', 'other.json'],
      '--write-tokenizer: only the builtin tokenizer can be written',
    ],
  ])('refuses %j with the allowed values', async (args, message) => {
    expect(await run(args)).toContain(message);
  });
});

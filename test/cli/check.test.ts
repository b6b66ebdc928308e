import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { checkCommand } from '../../src/cli/check.ts';
import { keyCommand } from '../../src/cli/key.ts';
import { SecretCheck } from '../../src/gateway/config/secret-hash.ts';
import { TemporaryFolder } from '../gateway/temporary-folder.ts';

let folder: TemporaryFolder;
let environment: NodeJS.ProcessEnv;
beforeEach(() => {
  folder = new TemporaryFolder();
  environment = { ...process.env };
});
afterEach(() => {
  process.env = environment;
  folder.remove();
  vi.restoreAllMocks();
});

/** Output on stdout and stderr, and exit code. */
async function check(yaml: string, ...args: string[]): Promise<{ said: string; complained: string; exitCode: number }> {
  const said: string[] = [];
  let complained = '';
  vi.spyOn(console, 'log').mockImplementation((line) => said.push(String(line)));
  const command = checkCommand().exitOverride();
  command.configureOutput({
    writeErr: (text) => {
      complained += text;
    },
  });
  let exitCode = 0;
  try {
    await command.parseAsync([folder.write('k.yaml', yaml), ...args], { from: 'user' });
  } catch (error) {
    exitCode = (error as { exitCode: number }).exitCode;
  }
  return { said: said.join('\n'), complained: complained.replaceAll(`${folder.path}/`, ''), exitCode };
}

describe('kvoyant check', () => {
  it('shows the resulting settings without their secrets', async () => {
    process.env = { ...environment, KVOYANT_SEED: '7' };
    const yaml = `
workers:
  - url: http://a:1
    apiKey: of-the-worker
apiKeys: ["me:0123456789abcdef"]
adminKey: fedcba9876543210
bodyBytesMax: 2048
`;
    const { said, complained, exitCode } = await check(yaml);
    expect([exitCode, complained]).toEqual([0, '']);
    expect(said).toMatch(/^# with KVOYANT_SEED\n/);
    expect(parse(said)).toMatchObject({
      workers: [{ url: 'http://a:1', apiKey: '(secret)' }],
      apiKeys: [{ name: 'me', key: '(secret)' }],
      adminKey: '(secret)',
      bodyBytesMax: 2048,
      seed: 7,
      policy: 'foresee',
    });
    expect(said).not.toMatch(/of-the-worker|0123456789abcdef|fedcba9876543210|sha256/);
    expect(parse((await check(yaml, '--ignore-environment')).said)).toMatchObject({ seed: 0 });
  });

  it('reports every fault with its line, and exits with 1', async () => {
    const { said, complained, exitCode } = await check('workers: [http://a:1]\nport: 99999\ncolour: red\n');
    expect([exitCode, said]).toEqual([1, '']);
    expect(complained).toMatch(/^k\.yaml:2: port must be an integer from 0 to 65535\nk\.yaml:3: colour is not a known/);
  });
});

it('kvoyant key makes a key whose hash the configuration accepts', () => {
  const said: string[] = [];
  const told: string[] = [];
  vi.spyOn(console, 'log').mockImplementation((line) => said.push(String(line)));
  vi.spyOn(console, 'error').mockImplementation((line) => told.push(String(line)));
  keyCommand().parse(['alice'], { from: 'user' });
  const [entry] = parse(said.join('\n')) as [{ name: string; key: string }];
  const secret = told[0]!.split(' ')[0]!;
  expect(entry.name).toBe('alice');
  expect(said.join()).not.toContain(secret);
  expect(new SecretCheck(entry.key).accepts(secret)).toBe(true);
});

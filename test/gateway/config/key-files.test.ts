// Missing or blank keys admit nobody, at the start or at a reload.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyCommand } from '../../../src/cli/key.ts';
import { loadSettings } from '../../../src/cli/setting-sources.ts';
import { type GatewayOptions, startGateway } from '../../../src/gateway/index.ts';
import { Harness, post } from '../../e2e/harness.ts';
import { LogLines } from '../../e2e/log-lines.ts';
import { TemporaryFolder } from '../temporary-folder.ts';

let harness: Harness;
let folder: TemporaryFolder;
beforeEach(() => {
  harness = new Harness();
  folder = new TemporaryFolder();
});
afterEach(async () => {
  await harness.end();
  folder.remove();
});

const secret = 'some-secret-00000001';
const sound = `- k:${secret}\n`;
const empty = [
  '',
  '\n',
  '# none\n',
  '[]\n',
  'null\n',
  '---\n',
  '- k:some\n',
  `- k:${secret}\n- `,
  `- k:${secret}\n- na`,
];

describe('a file of keys', () => {
  it.each(empty)('that is %j is refused at the start', async (text) => {
    const apiKeysFile = folder.write('keys.yaml', text);
    const starting = startGateway({ workers: ['http://127.0.0.1:1'], port: 0, logLevel: 'silent', apiKeysFile });
    await expect(starting).rejects.toMatchObject({ name: 'ConfigError', setting: 'apiKeysFile' });
  });

  it('that becomes invalid at run time leaves the old keys, is reported, and is used again once it is valid', async () => {
    const engine = await harness.engine();
    const apiKeysFile = folder.write('keys.yaml', sound);
    const options: GatewayOptions = { workers: [engine.url], apiKeysFile, port: 0, logLevel: 'error' };
    const log = new LogLines();
    const gateway = await harness.gateway(options, 1, ['fake'], { logTo: log });
    const status = async (key?: string): Promise<number> => {
      const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` };
      return (await post(gateway, '/v1/completions', { model: 'fake', prompt: 'x' }, headers)).status;
    };
    const nowhere = join(folder.path, 'gone.yaml');
    const directory = join(folder.path, 'directory');
    mkdirSync(directory);
    for (const text of empty) {
      folder.write('keys.yaml', text);
      expect(await gateway.reload(() => options), text).toBe(null);
      expect([await status(), await status(secret)], text).toEqual([401, 200]);
    }
    for (const path of [nowhere, directory]) {
      expect(await gateway.reload(() => ({ ...options, apiKeysFile: path }))).toBe(null);
      expect([await status(), await status(secret)]).toEqual([401, 200]);
    }
    expect(await gateway.reload(() => ({ ...options, apiKeysFile: null }))).toBe(null);
    expect([await status(), await status(secret)]).toEqual([401, 200]);
    expect(log.lines.filter(({ level }) => level === 50)).toHaveLength(empty.length + 3);
    folder.write('keys.yaml', '- k:another-secret-0001\n');
    expect(await gateway.reload(() => options)).not.toBe(null);
    expect([await status(), await status(secret), await status('another-secret-0001')]).toEqual([401, 401, 200]);
  });
});

it('an admin key that disappears at a reload stays valid', async () => {
  const adminKey = 'admin-secret-0000001';
  const options: GatewayOptions = { workers: ['http://127.0.0.1:1'], adminKey, port: 0, logLevel: 'silent' };
  const gateway = await harness.gateway(options, 0, []);
  expect(await gateway.reload(() => ({ ...options, adminKey: null }))).toBe(null);
  expect((await fetch(`${gateway.adminUrl}/workers`)).status).toBe(401);
});

describe('blank settings', () => {
  const worker = 'workers: ["http://127.0.0.1:1"]\n';

  async function fault(yaml: string, environment: Record<string, string> = {}): Promise<string> {
    const file = folder.write('k.yaml', yaml);
    const error: unknown = await loadSettings({ file, environment, flags: {} }).then(
      () => null,
      (failure: unknown) => failure,
    );
    return error instanceof Error ? error.message.replaceAll(`${folder.path}/`, '') : '';
  }

  it.each(['apiKeys:', 'apiKeys: []', 'apiKeys: ~', 'apiKeysFile:', 'adminKey:', 'tlsCertFile:', 'record:'])(
    'in the file are faults: %s',
    async (line) => {
      expect(await fault(`${worker}${line}\n`)).toMatch(/^k\.yaml:2: \w+ is empty: give it a value, or leave it out$/);
    },
  );

  it.each(['API_KEYS', 'API_KEYS_FILE', 'ADMIN_KEY', 'TLS_KEY_FILE'])('in variables are faults: %s', async (name) => {
    expect(await fault(worker, { [`KVOYANT_${name}`]: '' })).toBe(
      `KVOYANT_${name} is empty: give it a value, or unset it`,
    );
  });

  it.each([
    ['apiKey:', /api-key of http:\/\/a:1 is empty/],
    ['apiKey: ""', /api-key of http:\/\/a:1 is empty/],
    ['apiKey: true', /api-key of http:\/\/a:1 must be a text: put it in quotes/],
    ['apiKey: [x]', /api-key of http:\/\/a:1 must be a text/],
    ['model:', /model of http:\/\/a:1 is empty/],
    ['model: 7', /model of http:\/\/a:1 must be a text/],
    ['blockSize:', /block-size of http:\/\/a:1 is empty/],
    ['blockSize: true', /block-size of http:\/\/a:1 must be a number/],
  ])('of a worker are faults: %s', async (line, expected) => {
    expect(await fault(`workers:\n  - url: http://a:1\n    ${line}\n`)).toMatch(expected);
  });

  it('of a key that are blank are: they would open every model', async () => {
    const keys = `apiKeys:\n  - name: me\n    key: ${secret}\n    models:\n`;
    expect(await fault(worker + keys)).toMatch(/^k\.yaml:5: apiKeys models is empty/);
  });
});

it('kvoyant key refuses a name that the configuration refuses', () => {
  const said: string[] = [];
  const command = keyCommand().exitOverride();
  command.configureOutput({ writeErr: (text) => said.push(text) });
  expect(() => command.parse(['a b'], { from: 'user' })).toThrow();
  expect(said.join('')).toMatch(/the name must have 1 to 64 letters/);
});

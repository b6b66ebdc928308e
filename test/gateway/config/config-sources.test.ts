// Settings from file, environment and flags: their precedence, and the place reported for a fault.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadSettings } from '../../../src/cli/setting-sources.ts';
import { ConfigError, resolveConfig } from '../../../src/gateway/config/config.ts';
import { YamlFile } from '../../../src/gateway/config/yaml-file.ts';
import { TemporaryFolder } from '../temporary-folder.ts';

let folder: TemporaryFolder;
beforeEach(() => {
  folder = new TemporaryFolder();
});
afterEach(() => folder.remove());

const worker = 'workers: ["http://127.0.0.1:1"]\n';

/** All faults reported for the file, without the folder. */
async function faults(yaml: string, environment: Record<string, string> = {}): Promise<string[]> {
  const file = folder.write('k.yaml', yaml);
  try {
    await loadSettings({ file, environment, flags: {} });
  } catch (error) {
    if (error instanceof ConfigError)
      return error.faults.map(({ message }) => message.replaceAll(`${folder.path}/`, ''));
    throw error;
  }
  return [];
}

describe('a setting from several sources', () => {
  it('comes from the flag, else from the variable, else from the file', async () => {
    const file = folder.write('k.yaml', `${worker}port: 1\nseed: 2\ndecisionsMax: 3\nlogRequests: true\n`);
    const environment = { KVOYANT_SEED: '20', KVOYANT_DECISIONS_MAX: '30', KVOYANT_LOG_REQUESTS: 'off' };
    const options = await loadSettings({ file, environment, flags: { decisionsMax: 300 } });
    expect(resolveConfig(options)).toMatchObject({ port: 1, seed: 20, decisionsMax: 300, logRequests: false });
  });

  it('is read from a variable in every form', async () => {
    const environment = {
      KVOYANT_WORKER: 'http://a:1,blocks=5  http://b:2',
      KVOYANT_API_KEYS: 'me:0123456789abcdef you:fedcba9876543210',
      KVOYANT_BLOCK_SIZE: 'auto',
      KVOYANT_IN_FLIGHT_CREDIT: 'no',
      KVOYANT_OVERLAP_WEIGHT: '0.5',
    };
    const config = resolveConfig(await loadSettings({ file: null, environment, flags: {} }));
    expect(config).toMatchObject({
      workers: [{ url: 'http://a:1', capacityBlocks: 5 }, { url: 'http://b:2' }],
      blockSize: 'auto',
      inFlightCredit: false,
      overlapWeight: 0.5,
    });
    expect(config.apiKeys.map(({ name }) => name)).toEqual(['me', 'you']);
    expect(JSON.stringify(config)).not.toMatch(/0123456789abcdef"|fedcba98/);
  });
});

describe('a fault in the file', () => {
  it('is reported with its line and the allowed values', async () => {
    expect(await faults(`${worker}port: 99999\n`)).toEqual(['k.yaml:2: port must be an integer from 0 to 65535']);
    expect(await faults(`${worker}\n\npolicy: best\n`)).toEqual([
      expect.stringMatching(/^k\.yaml:4: policy must be one of foresee, kv, round-robin/),
    ]);
    const [unknown] = await faults(`${worker}# so\ncolour: red\n`);
    expect(unknown).toMatch(/^k\.yaml:3: colour is not a known setting; allowed are workers, .*logRequests/);
  });

  it('is reported at its place in the list', async () => {
    const yaml = 'workers:\n  - http://a:1\n  - url: http://b:2\n    blockSize: 0\n  - url: http://c:3\n    speed: 9\n';
    expect(await faults(yaml)).toEqual([
      'k.yaml:4: workers block-size of http://b:2 must be an integer from 1 to 65536, got "0"',
      expect.stringMatching(/^k\.yaml:6: workers "speed" of http:\/\/c:3 is unknown; allowed are url, kvEvents/),
    ]);
    const keys =
      'apiKeys:\n  - name: me\n    key: short\n  - name: you\n    key: 0123456789abcdef\n    inFlightMax: -1\n';
    expect(await faults(worker + keys)).toEqual([
      'k.yaml:4: apiKeys key of me must have 16 to 256 visible characters, or be sha256:SALT:DIGEST',
      'k.yaml:7: apiKeys inFlightMax of you must be an integer from 0 to 1000000000',
    ]);
  });

  it('of several settings is reported for each', async () => {
    expect(await faults(`${worker}port: x\nseed: -1\n`)).toHaveLength(2);
  });

  it('is reported for a file that is not YAML, not a map, or missing', async () => {
    expect(await faults('port: [1\n')).toEqual([expect.stringMatching(/^k\.yaml:\d: /)]);
    expect(await faults('port: 1\nport: 2\n')).toEqual([expect.stringMatching(/^k\.yaml:2: .*unique/)]);
    expect(await faults('- 1\n')).toEqual([expect.stringMatching(/^k\.yaml:1: must be a map/)]);
    const gone = loadSettings({ file: `${folder.path}/gone.yaml`, environment: {}, flags: {} });
    await expect(gone).rejects.toThrow(/gone\.yaml can't be read/);
    const bomb = `a: &a [x]\n${Array.from({ length: 3 }, (_, i) => `b${i}: [${'*a,'.repeat(60)}]\n`).join('')}`;
    expect(() => YamlFile.parse('k.yaml', bomb)).toThrow(/alias/i);
    expect(await faults('port: 1\ncorsOrigins: &a [[*a]]\n')).toEqual([
      'k.yaml: an alias stands inside of its own anchor',
    ]);
    expect(YamlFile.parse('k.yaml', 'a: &a [x]\nb: [*a, *a]\n').value).toEqual({ a: ['x'], b: [['x'], ['x']] });
  });

  it('in a file that it refers to is reported with both places', async () => {
    folder.write('w.yaml', '- http://a:1\n- nowhere\n');
    const [fault] = await faults(`workersFile: ${folder.path}/w.yaml\n`);
    expect(fault).toBe('k.yaml:1: workersFile w.yaml:2: "nowhere" is no http:// or https:// address');
    folder.write('w.yaml', '');
    expect(await faults(`workersFile: ${folder.path}/w.yaml\n`)).toEqual([]);
  });

  it('is reported with the variable if that set it', async () => {
    expect(await faults(`${worker}port: 1\n`, { KVOYANT_PORT: 'tcp://10.0.0.1:80' })).toEqual([
      'KVOYANT_PORT must be an integer from 0 to 65535',
    ]);
  });
});

describe('listening addresses', () => {
  it.each(['127.0.0.1', '127.0.0.2', 'localhost', '::1'])('%s is open to this machine only', async (host) => {
    expect(await faults(`${worker}host: "${host}"\n`)).toEqual([]);
  });

  it.each(['0.0.0.0', '::', '10.0.0.1', '127.evil.example'])('%s needs keys, or allowOpen', async (host) => {
    const asked = `${worker}host: "${host}"\n`;
    expect(await faults(asked)).toEqual([expect.stringMatching(/^k\.yaml:2: host .* is open to other machines/)]);
    expect(await faults(`${asked}allowOpen: true\n`)).toEqual([]);
    expect(await faults(`${asked}apiKeys: ["me:0123456789abcdef"]\n`)).toEqual([]);
  });
});

// No worker may have an address where clouds serve credentials, however it is written and from any source.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveConfig } from '../../../src/gateway/config/config.ts';
import { isLinkLocal, linkLocalFault } from '../../../src/gateway/config/link-local.ts';
import { readReferencedFiles } from '../../../src/gateway/config/referenced-files.ts';
import { routableOnly } from '../../../src/gateway/engines/routable-lookup.ts';
import { eventually, getJson, Harness } from '../../e2e/harness.ts';
import { LogLines } from '../../e2e/log-lines.ts';
import { nameTable } from '../../e2e/name-table.ts';
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

const refused = [
  'http://169.254.169.254',
  'http://169.254.169.254:8000/latest',
  'http://169.254.0.1',
  'http://2852039166',
  'http://0xa9fea9fe',
  'http://0251.0376.0251.0376',
  'http://169.254.43518',
  'http://0xa9.254.0251.254:80',
  'http://[::ffff:169.254.169.254]',
  'http://[::ffff:a9fe:a9fe]:8000',
  'http://[::a9fe:a9fe]',
  'http://[64:ff9b::a9fe:a9fe]',
  'http://[fe80::1]',
  'http://[febf::1]:8000',
  'http://[fd00:ec2::254]',
  'http://[fd00:0ec2:0:0::0254]',
  'http://100.100.100.200',
  'http://metadata.google.internal',
  'http://METADATA.google.internal.',
  'http://metadata/computeMetadata',
  'http://１６９.254.169.254',
];

const usual = [
  'http://127.0.0.1:1',
  'http://10.0.0.1:1',
  'http://169.253.255.255',
  'http://169.255.0.0',
  'http://[::1]:1',
  'http://[fd00:ec2::253]',
  'http://[fec0::1]',
  'http://metadata.example.org',
  'http://100.100.100.201',
];

describe('a link-local address', () => {
  it.each(refused)('is recognized as %s', (url) => {
    expect(() => resolveConfig({ workers: [url] })).toThrow(/has a link-local address/);
    expect(() => resolveConfig({ workers: [url], allowLinkLocal: true })).not.toThrow();
  });

  it.each(usual)('is not recognized in %s', (url) => {
    expect(() => resolveConfig({ workers: [url] })).not.toThrow();
  });

  it.each(['tcp://169.254.169.254:80', 'bind:tcp://169.254.1.1:80', 'tcp://[fe80::1]:80', 'tcp://2852039166:80'])(
    'is recognized in addresses of KV events %s',
    (kvEvents) => {
      expect(linkLocalFault({ url: 'http://10.0.0.1', kvEvents })).toMatch(/link-local/);
      expect(linkLocalFault({ url: 'http://10.0.0.1', kvReplay: kvEvents })).toMatch(/link-local/);
    },
  );

  it('is not found in any other host', () => {
    for (const host of ['', '*', 'localhost', 'engine-1', '::', '0.0.0.0']) expect(isLinkLocal(host)).toBe(false);
  });
});

describe('a host name', () => {
  const lookUp = (addresses: readonly string[]) =>
    routableOnly((_name, _options, callback) => {
      callback(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
    });
  const ask = (addresses: readonly string[], all: boolean): Promise<unknown> =>
    new Promise((resolve, reject) => {
      lookUp(addresses)('engine.test', { all }, (error, found) => (error === null ? resolve(found) : reject(error)));
    });

  it('resolves unless it leads to a link-local address', async () => {
    expect(await ask(['10.0.0.1', '::1'], true)).toEqual([
      { address: '10.0.0.1', family: 4 },
      { address: '::1', family: 6 },
    ]);
    expect(await ask(['10.0.0.1'], false)).toBe('10.0.0.1');
    for (const bad of ['169.254.169.254', '::ffff:169.254.169.254', 'fe80::1', 'fe80::1%eth0', 'fd00:ec2::254']) {
      for (const all of [true, false]) {
        await expect(ask(['10.0.0.1', bad], all)).rejects.toThrow(`engine.test leads to the link-local address ${bad}`);
      }
    }
  });
});

describe('a link-local worker', () => {
  it('is refused from a file', async () => {
    const workersFile = folder.write('workers.yaml', '- http://127.0.0.1:1\n- http://2852039166\n');
    await expect(readReferencedFiles(resolveConfig({ workersFile }))).rejects.toThrow(/link-local address/);
    const allowed = await readReferencedFiles(resolveConfig({ workersFile, allowLinkLocal: true }));
    expect(allowed.workers).toHaveLength(2);
  });

  it('is refused from an operator', async () => {
    const gateway = await harness.gateway({ workers: ['http://127.0.0.1:1'] }, 0, []);
    for (const url of refused) {
      const response = await fetch(`${gateway.adminUrl}/workers`, { method: 'POST', body: JSON.stringify({ url }) });
      expect([url, response.status, await response.json()]).toMatchObject([url, 400, { error: { param: 'url' } }]);
    }
    expect(await getJson(gateway, '/workers')).toMatchObject({ workers: [{ url: 'http://127.0.0.1:1' }] });
  });

  it('is refused from a dns+ name', async () => {
    const { resolve } = nameTable({ 'engines.test': ['169.254.169.254', '127.0.0.1', 'fe80::1'] });
    const log = new LogLines();
    const options = { workers: ['dns+http://engines.test:1'], logLevel: 'warn' } as const;
    const gateway = await harness.gateway(options, 0, [], { resolve, logTo: log });
    await eventually(async () => {
      const { workers } = (await getJson(gateway, '/workers')) as { workers: { url: string }[] };
      return workers.map(({ url }) => url).join() === 'http://127.0.0.1:1';
    });
    expect(log.text).toContain('169.254.169.254');
  });
});

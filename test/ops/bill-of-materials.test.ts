// What a release contains: nothing is missing from the bill of materials, and nothing has a licence that nobody looked at.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  billOfMaterials,
  bundled,
  type LockFile,
  licenceList,
  type Manifest,
  releasePackages,
} from '../../scripts/bill-of-materials.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): unknown => JSON.parse(readFileSync(`${root}${path}`, 'utf8'));
const lock = read('package-lock.json') as LockFile;
const manifest = read('package.json') as Manifest & { readonly dependencies: Readonly<Record<string, string>> };

const integrity = `sha512-${Buffer.alloc(64).toString('base64')}`;
const locked = (more: object = {}) => ({ version: '1.0.0', license: 'MIT', integrity, ...more });

describe('the packages of a release', () => {
  it('are all that npm installs without those for development, and those of the page', () => {
    const { packages } = releasePackages(lock);
    const installed = Object.entries(lock.packages)
      .filter(([path, { dev }]) => path !== '' && dev !== true)
      .map(([path, { version }]) => `${path.slice(path.lastIndexOf('node_modules/') + 13)}@${version}`);
    const listed = packages.filter(({ inPage }) => !inPage).map(({ key }) => key);
    expect(listed).toEqual([...new Set(installed)].sort((a, b) => (a < b ? -1 : 1)));
    for (const name of Object.keys(manifest.dependencies)) {
      expect(packages.some((one) => one.name === name && one.version === manifest.dependencies[name])).toBe(true);
    }
  });

  it('include every package that the page imports', () => {
    const imported = new Set<string>();
    const files = readdirSync(`${root}dashboard`, { recursive: true }).map(String);
    for (const file of files.filter((name) => /\.tsx?$/.test(name) && !name.endsWith('.config.ts'))) {
      for (const [, name] of readFileSync(`${root}dashboard/${file}`, 'utf8').matchAll(/from '([^.'][^']*)'/g)) {
        imported.add(name!.startsWith('@') ? name!.split('/').slice(0, 2).join('/') : name!.split('/')[0]!);
      }
    }
    expect(imported.size).toBeGreaterThan(0);
    expect([...imported].filter((name) => !name.startsWith('node:')).sort()).toEqual([...bundled].sort());
  });

  it('are refused with an unknown licence, without a checksum, or with a dependency that is not locked', () => {
    const of = (more: object, others: object = {}): LockFile => ({
      packages: { '': { dependencies: { a: '1.0.0' } }, 'node_modules/a': locked(more), ...others },
    });
    expect(releasePackages(of({}), []).packages).toMatchObject([{ key: 'a@1.0.0' }]);
    expect(releasePackages(of({ license: '(MIT OR Apache-2.0)' }), []).packages).toHaveLength(1);
    expect(() => releasePackages(of({ license: 'GPL-3.0-only' }), [])).toThrow(
      /a@1\.0\.0 has the licence "GPL-3\.0-only"/,
    );
    expect(() => releasePackages(of({ license: 'MIT AND Custom' }), [])).toThrow(/"Custom"/);
    expect(() => releasePackages(of({ license: undefined }), [])).toThrow(/licence null/);
    expect(() => releasePackages(of({ integrity: undefined }), [])).toThrow(/no checksum/);
    expect(() => releasePackages(of({ dependencies: { b: '1' } }), [])).toThrow(/node_modules\/a needs b/);
    const nested = { 'node_modules/a/node_modules/b': locked({ license: 'SSPL-1.0' }) };
    expect(() => releasePackages(of({ dependencies: { b: '1' } }, nested), [])).toThrow(/SSPL/);
    const optional = { optionalDependencies: { c: '1' }, peerDependencies: { d: '1' } };
    expect(() => releasePackages(of(optional), [])).toThrow(/needs d/);
    const meta = { peerDependenciesMeta: { d: { optional: true } } };
    expect(releasePackages(of({ ...optional, ...meta }), []).packages).toHaveLength(1);
  });
});

describe('the bill of materials', () => {
  const bom = billOfMaterials(manifest, lock);

  it('is CycloneDX in which every reference leads somewhere', () => {
    expect(bom).toMatchObject({ bomFormat: 'CycloneDX', specVersion: '1.6', version: 1 });
    expect(bom['serialNumber']).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/);
    const refs = new Set([`pkg:npm/kvoyant@${manifest.version}`, ...bom.components.map((one) => one['bom-ref'])]);
    expect(refs.size).toBe(bom.components.length + 1);
    expect(bom.dependencies.map(({ ref }) => ref).sort()).toEqual([...refs].sort());
    for (const { dependsOn } of bom.dependencies) for (const ref of dependsOn) expect(refs.has(ref)).toBe(true);
    for (const { hashes, licenses } of bom.components) {
      expect(hashes[0]!.content).toMatch(/^[0-9a-f]{128}$/);
      expect(licenses).toHaveLength(1);
    }
    expect(refs).toContain(`pkg:npm/%40nats-io/transport-node@${manifest.dependencies['@nats-io/transport-node']}`);
  });

  it('has the same bytes for the same lock file', () => {
    expect(JSON.stringify(billOfMaterials(manifest, lock))).toBe(JSON.stringify(bom));
  });
});

it('the list of licences names every package, and has the texts of those whose code is in the page', () => {
  const list = licenceList(manifest, lock, (name) => `text of ${name}`);
  for (const { name, version } of releasePackages(lock).packages) expect(list).toContain(`| ${name} | ${version} |`);
  for (const name of bundled) expect(list).toContain(`text of ${name}`);
});

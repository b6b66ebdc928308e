// Makes the software bill of materials (CycloneDX) and the list of licences from the lock file: what a release contains.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Packages whose code the build puts into the page; users do not install them. */
export const bundled = ['preact', 'uplot'];

/** Licences under which a dependency may be used and passed on, as SPDX names. Another one needs a decision first. */
export const allowedLicences = new Set([
  ...['0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause', 'CC0-1.0', 'ISC', 'MIT', 'MIT-0'],
  // Of files that are used unchanged: libzmq.
  'MPL-2.0',
  ...['Python-2.0', 'Unlicense', 'Zlib'],
]);

/**
 * Every package that a release contains, from the lock file alone, sorted by name and version.
 * @param lock a parsed package-lock.json, version 3
 * @returns name, version, licence, integrity, whether it is part of the page, and the packages that it needs (by key)
 * @throws Error for an unknown licence or a dependency that the lock file lacks
 */
export function releasePackages(lock, inPage = bundled) {
  const { packages } = lock;
  const found = new Map();
  const visit = (path, isInPage) => {
    const known = found.get(path);
    if (known !== undefined) return known.key;
    const { version, license, integrity, optional = false } = packages[path];
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const key = `${name}@${version}`;
    refuseLicence(key, license);
    if (typeof integrity !== 'string') throw new Error(`${key} has no checksum in the lock file`);
    const entry = { key, name, version, license, integrity, inPage: isInPage, optional, needs: [] };
    found.set(path, entry);
    entry.needs = needsOf(packages, path).map((needed) => visit(needed, isInPage));
    return key;
  };
  const { dependencies = {}, optionalDependencies = {} } = packages[''];
  const direct = [
    ...Object.keys({ ...dependencies, ...optionalDependencies }).map((name) =>
      visit(locate(packages, '', name), false),
    ),
    ...inPage.map((name) => visit(locate(packages, '', name), true)),
  ];
  const byKey = new Map([...found.values()].map((entry) => [entry.key, entry]));
  const sorted = [...byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  return { direct: direct.sort(), packages: sorted };
}

function needsOf(packages, path) {
  const {
    dependencies = {},
    optionalDependencies = {},
    peerDependencies = {},
    peerDependenciesMeta = {},
  } = packages[path];
  const optional = Object.keys(optionalDependencies);
  const peers = Object.keys(peerDependencies);
  const mayLack = (name) => optional.includes(name) || peerDependenciesMeta[name]?.optional === true;
  return [...new Set([...Object.keys(dependencies), ...optional, ...peers])].flatMap((name) => {
    const at = locate(packages, path, name, mayLack(name));
    return at === null ? [] : [at];
  });
}

/** Where Node finds a package that `path` needs. */
function locate(packages, path, name, mayLack = false) {
  for (let folder = path; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    const at = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`;
    if (packages[at] !== undefined) return at;
    if (folder !== '') continue;
    if (mayLack) return null;
    throw new Error(`${path || 'the package'} needs ${name}, which the lock file lacks`);
  }
}

function refuseLicence(key, license) {
  const names = typeof license === 'string' ? license.split(/\s+(?:AND|OR)\s+|[()\s]+/).filter(Boolean) : [];
  const unknown = names.find((name) => !allowedLicences.has(name));
  if (names.length > 0 && unknown === undefined) return;
  throw new Error(
    `${key} has the licence ${JSON.stringify(unknown ?? license ?? null)}, which is not in the list of allowed ones`,
  );
}

/** @returns a CycloneDX 1.6 document; the same lock file gives the same bytes */
export function billOfMaterials(manifest, lock) {
  const { direct, packages } = releasePackages(lock);
  const own = purl(manifest.name, manifest.version);
  const refOf = new Map(packages.map(({ key, name, version }) => [key, purl(name, version)]));
  const digest = createHash('sha256')
    .update(JSON.stringify([manifest.version, packages]))
    .digest('hex');
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(digest)}`,
    version: 1,
    metadata: {
      component: {
        ...{ type: 'application', 'bom-ref': own, name: manifest.name, version: manifest.version },
        ...{ description: manifest.description, licenses: licencesOf(manifest.license), purl: own },
      },
    },
    components: packages.map(({ key, name, version, license, integrity, inPage, optional }) => ({
      type: 'library',
      'bom-ref': refOf.get(key),
      ...(name.startsWith('@') && { group: name.split('/')[0] }),
      name: name.split('/').at(-1),
      version,
      scope: optional ? 'optional' : 'required',
      hashes: [{ alg: 'SHA-512', content: Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex') }],
      licenses: licencesOf(license),
      purl: refOf.get(key),
      properties: [{ name: 'kvoyant:part', value: inPage ? 'page' : 'dependency' }],
    })),
    dependencies: [
      { ref: own, dependsOn: direct.map((key) => refOf.get(key)) },
      ...packages.map(({ key, needs }) => ({
        ref: refOf.get(key),
        dependsOn: [...new Set(needs)].sort().map((needed) => refOf.get(needed)),
      })),
    ],
  };
}

/** @param textOf the text of a package's licence; only asked for packages in the page, whose code is passed on */
export function licenceList(manifest, lock, textOf) {
  const { packages } = releasePackages(lock);
  const rows = packages.map(
    ({ name, version, license, inPage }) =>
      `| ${name} | ${version} | ${license} | ${inPage ? 'part of the page' : 'installed by npm'} |`,
  );
  const texts = packages.filter(({ inPage }) => inPage).map(({ key, name }) => `## ${key}\n\n${textOf(name).trim()}\n`);
  return [
    `# Licences of ${manifest.name} ${manifest.version}`,
    `${manifest.name} itself: ${manifest.license}. Made from the lock file.`,
    ['| Package | Version | Licence | |', '| --- | --- | --- | --- |', ...rows].join('\n'),
    ...texts,
  ].join('\n\n');
}

/** Writes both into `folder`. @param root the project's */
export function writeBillOfMaterials(root, folder) {
  const read = (...path) => JSON.parse(readFileSync(join(root, ...path), 'utf8'));
  const [manifest, lock] = [read('package.json'), read('package-lock.json')];
  writeFileSync(join(folder, 'sbom.cdx.json'), `${JSON.stringify(billOfMaterials(manifest, lock), null, 2)}\n`);
  const textOf = (name) => readFileSync(join(root, 'node_modules', name, 'LICENSE'), 'utf8');
  writeFileSync(join(folder, 'licences.md'), licenceList(manifest, lock, textOf));
}

function licencesOf(license) {
  return /\s/.test(license) ? [{ expression: license }] : [{ license: { id: license } }];
}

function purl(name, version) {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`;
}

/** The form of a UUID of version 8, whose bits are its maker's. */
function uuidOf(hex) {
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `a${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    '-',
  );
}

// TLS to engines: which authorities vouch for an engine, and which certificate it is shown.

import type { GatewayConfig } from './config.ts';
import type { EngineSpec } from './engine-spec.ts';
import { readAuthorities, readIdentity, type TlsIdentity } from './pem-files.ts';

export interface EngineTls {
  /** Certificate authorities in PEM; null: those that Node trusts. */
  readonly ca: string | null;
  /** Shown to an engine that asks for a certificate; null: none. */
  readonly identity: TlsIdentity | null;
}

type TlsSettings = Pick<GatewayConfig, 'workerCaFile' | 'workerCertFile' | 'workerKeyFile' | 'pools'>;
type TlsPaths = Pick<EngineSpec, 'caFile' | 'certFile' | 'keyFile' | 'pool'>;

/** Contents of the files that engines and settings named when they were read. */
export class EngineTlsFiles {
  readonly #settings: TlsSettings;
  readonly #authorities: ReadonlyMap<string, string>;
  /** By the paths of certificate and key. */
  readonly #identities: ReadonlyMap<string, TlsIdentity>;

  constructor(
    settings: TlsSettings,
    authorities: ReadonlyMap<string, string>,
    identities: ReadonlyMap<string, TlsIdentity>,
  ) {
    this.#settings = settings;
    this.#authorities = authorities;
    this.#identities = identities;
  }

  /** Null: the engine names files that the configuration does not name any more. */
  of(spec: TlsPaths): EngineTls | null {
    const { caFile, certFile, keyFile } = pathsOf(this.#settings, spec);
    const ca = caFile === null ? null : this.#authorities.get(caFile);
    const identity = certFile === null ? null : this.#identities.get(pairOf(certFile, keyFile!));
    return ca === undefined || identity === undefined ? null : { ca, identity };
  }
}

/** @throws ConfigError that names the setting, `pools` or `workers` */
export async function readEngineTls(settings: TlsSettings, specs: readonly EngineSpec[]): Promise<EngineTlsFiles> {
  const authorities = new Map<string, string>();
  const identities = new Map<string, TlsIdentity>();
  for (const [from, spec] of named(settings, specs)) {
    const { caFile, certFile, keyFile } = pathsOf(settings, spec);
    if (caFile !== null && !authorities.has(caFile)) {
      authorities.set(caFile, await readAuthorities(from ?? 'workerCaFile', caFile));
    }
    if (certFile === null || keyFile === null || identities.has(pairOf(certFile, keyFile))) continue;
    const identity = await readIdentity([from ?? 'workerCertFile', certFile], [from ?? 'workerKeyFile', keyFile]);
    identities.set(pairOf(certFile, keyFile), identity);
  }
  return new EngineTlsFiles(settings, authorities, identities);
}

/** Every path that counts for TLS to these engines. */
export function engineTlsPaths(settings: TlsSettings, specs: readonly EngineSpec[]): string[] {
  return named(settings, specs).flatMap(([, spec]) => {
    const { caFile, certFile, keyFile } = pathsOf(settings, spec);
    return [caFile, certFile, keyFile].filter((path) => path !== null);
  });
}

/** All that may name files, the most common first, and the setting that it stands in; null: the settings themselves. */
function named(
  { pools }: TlsSettings,
  specs: readonly EngineSpec[],
): readonly (readonly [from: 'pools' | 'workers' | null, TlsPaths])[] {
  return [
    [null, {}],
    // Also of pools that no worker of the configuration joins: one may be added later.
    ...pools.map(({ name }) => ['pools', { pool: name }] as const),
    ...specs.map((spec) => ['workers', spec] as const),
  ];
}

/** What an engine names counts before what its pool names, and that before what all have. Certificate and key go together. */
function pathsOf(
  settings: TlsSettings,
  { caFile, certFile, keyFile, pool }: TlsPaths,
): { caFile: string | null; certFile: string | null; keyFile: string | null } {
  const ofPool = pool === undefined ? undefined : settings.pools.find(({ name }) => name === pool);
  const ca = caFile ?? ofPool?.workerCaFile ?? settings.workerCaFile;
  if (certFile !== undefined && keyFile !== undefined) return { caFile: ca, certFile, keyFile };
  const { workerCertFile, workerKeyFile } = ofPool?.workerCertFile === undefined ? settings : ofPool;
  return { caFile: ca, certFile: workerCertFile ?? null, keyFile: workerKeyFile ?? null };
}

function pairOf(certFile: string, keyFile: string): string {
  return JSON.stringify([certFile, keyFile]);
}

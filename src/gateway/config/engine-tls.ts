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

type TlsSettings = Pick<GatewayConfig, 'workerCaFile' | 'workerCertFile' | 'workerKeyFile'>;
type TlsPaths = Pick<EngineSpec, 'caFile' | 'certFile' | 'keyFile'>;

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

/** @throws ConfigError that names the setting, or `workers` */
export async function readEngineTls(settings: TlsSettings, specs: readonly EngineSpec[]): Promise<EngineTlsFiles> {
  const authorities = new Map<string, string>();
  const identities = new Map<string, TlsIdentity>();
  const common: TlsPaths = {};
  for (const spec of [common, ...specs]) {
    const { caFile, certFile, keyFile } = pathsOf(settings, spec);
    if (caFile !== null && !authorities.has(caFile)) {
      const setting = caFile === settings.workerCaFile ? 'workerCaFile' : 'workers';
      authorities.set(caFile, await readAuthorities(setting, caFile));
    }
    if (certFile === null || keyFile === null || identities.has(pairOf(certFile, keyFile))) continue;
    const isCommon = certFile === settings.workerCertFile;
    identities.set(
      pairOf(certFile, keyFile),
      await readIdentity(
        [isCommon ? 'workerCertFile' : 'workers', certFile],
        [isCommon ? 'workerKeyFile' : 'workers', keyFile],
      ),
    );
  }
  return new EngineTlsFiles(settings, authorities, identities);
}

/** Every path that counts for TLS to these engines. */
export function engineTlsPaths(settings: TlsSettings, specs: readonly EngineSpec[]): string[] {
  const common: TlsPaths = {};
  return [common, ...specs].flatMap((spec) => {
    const { caFile, certFile, keyFile } = pathsOf(settings, spec);
    return [caFile, certFile, keyFile].filter((path) => path !== null);
  });
}

/** An engine's certificate and key replace the common ones together. */
function pathsOf(
  { workerCaFile, workerCertFile, workerKeyFile }: TlsSettings,
  { caFile, certFile, keyFile }: TlsPaths,
): { caFile: string | null; certFile: string | null; keyFile: string | null } {
  const own = certFile !== undefined && keyFile !== undefined;
  return {
    caFile: caFile ?? workerCaFile,
    certFile: own ? certFile : workerCertFile,
    keyFile: own ? keyFile : workerKeyFile,
  };
}

function pairOf(certFile: string, keyFile: string): string {
  return JSON.stringify([certFile, keyFile]);
}

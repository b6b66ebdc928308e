// Contents of the files that a configuration refers to: more workers, more keys, certificates.

import type { ApiKey } from './api-keys.ts';
import { ConfigError, certificateKeyFaults, type GatewayConfig, readKeyList, readWorkerList } from './config.ts';
import type { ConfigFault } from './config-fault.ts';
import type { EngineSpec } from './engine-spec.ts';
import { type EngineTlsFiles, engineTlsPaths, readEngineTls } from './engine-tls.ts';
import { linkLocalFault } from './link-local.ts';
import { type ListenerTls, readAuthorities, readIdentity, readPem } from './pem-files.ts';
import { unknownPoolFault } from './route-faults.ts';
import { tenantFault } from './tenants.ts';
import { YamlFile, YamlFileError } from './yaml-file.ts';

export interface ReferencedFiles {
  readonly workers: readonly EngineSpec[];
  readonly apiKeys: readonly ApiKey[];
  /** Null: no TLS. */
  readonly tls: ListenerTls | null;
  readonly engineTls: EngineTlsFiles;
  /** Of all these files. */
  readonly paths: readonly string[];
}

/** @throws ConfigError with the setting, and the line of the file if it has lines */
export async function readReferencedFiles(config: GatewayConfig): Promise<ReferencedFiles> {
  const [workers, apiKeys, tls] = await Promise.all([
    listIn('workersFile', config.workersFile, readWorkerList),
    listIn('apiKeysFile', config.apiKeysFile, readKeyList),
    readTls(config),
  ]);
  const linkLocal = config.allowLinkLocal ? [] : workers.map(linkLocalFault).filter((message) => message !== null);
  for (const spec of workers) {
    const message = unknownPoolFault(spec, config.pools);
    if (message !== null) throw new ConfigError('workersFile', message);
  }
  if (linkLocal[0] !== undefined) throw new ConfigError('workersFile', linkLocal[0]);
  await checkNatsFiles(config);
  const known = new Set(config.workers.map(({ url }) => url));
  const names = new Set(config.apiKeys.map(({ name }) => name));
  for (const key of apiKeys) {
    const { name } = key;
    const fault = tenantFault(key, config.tenants);
    if (fault !== null) throw new ConfigError('apiKeysFile', fault);
    if (names.has(name)) throw new ConfigError('apiKeysFile', `names ${name} twice`);
    names.add(name);
  }
  const [certificateFault] = certificateKeyFaults([...config.apiKeys, ...apiKeys], config.clientCaFile);
  if (certificateFault !== undefined) throw new ConfigError('apiKeysFile', certificateFault);
  const engineTls = await readEngineTls(config, [...config.workers, ...workers]);
  const { workersFile, apiKeysFile, tlsCertFile, tlsKeyFile, clientCaFile } = config;
  const paths = [workersFile, apiKeysFile, tlsCertFile, tlsKeyFile, clientCaFile].filter((path) => path !== null);
  return {
    workers: workers.filter(({ url }) => !known.has(url)),
    apiKeys,
    tls,
    engineTls,
    paths: [...new Set([...paths, ...engineTlsPaths(config, [...config.workers, ...workers])])],
  };
}

async function listIn<T>(
  setting: keyof GatewayConfig,
  path: string | null,
  read: (value: unknown) => readonly T[],
): Promise<readonly T[]> {
  if (path === null) return [];
  let file: YamlFile;
  try {
    file = await YamlFile.read(path);
  } catch (error) {
    if (error instanceof YamlFileError) throw new ConfigError(setting, error.message);
    throw error;
  }
  try {
    const items = read(file.value ?? []);
    // A truncated file of keys must not open the gateway.
    if (setting === 'apiKeysFile' && items.length === 0) {
      throw new ConfigError(setting, `${path} has no keys: the gateway would be open to everyone`);
    }
    return items;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const faults = error.faults.map(
      ({ path: part, message }): ConfigFault => ({ setting, path: [], message: `${file.where(part)}: ${message}` }),
    );
    throw new ConfigError(setting, faults[0]!.message, faults);
  }
}

async function readTls({ tlsCertFile, tlsKeyFile, clientCaFile }: GatewayConfig): Promise<ListenerTls | null> {
  if (tlsCertFile === null || tlsKeyFile === null) return null;
  const identity = await readIdentity(['tlsCertFile', tlsCertFile], ['tlsKeyFile', tlsKeyFile]);
  return clientCaFile === null ? identity : { ...identity, ca: await readAuthorities('clientCaFile', clientCaFile) };
}

/** They are read at each connection to NATS; a missing one is an error of the configuration only at the start. */
async function checkNatsFiles(config: GatewayConfig): Promise<void> {
  for (const setting of ['natsCredsFile', 'natsNkeyFile', 'natsCaFile', 'natsCertFile', 'natsKeyFile'] as const) {
    const path = config[setting];
    if (path !== null) await readPem(setting, path);
  }
}

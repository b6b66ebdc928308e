// Certificates and keys in PEM files: read whole, and tried before anything uses them.

import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { ConfigError, type GatewayConfig } from './config.ts';

/** A certificate chain and its private key, in PEM. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
}

/** What a listener shows its clients. */
export interface ListenerTls extends TlsIdentity {
  /** Authorities of the certificates that clients are asked for, in PEM; absent: they are not asked. */
  readonly ca?: string;
}

/** The bundle of a Linux distribution has 200 KiB. */
const pemBytesMax = 4 * 1024 * 1024;
const certificateForm = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]*-----END (?:TRUSTED )?CERTIFICATE-----/g;

/** @throws ConfigError */
export async function readPem(setting: keyof GatewayConfig, path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > pemBytesMax) throw new Error(`it exceeds ${pemBytesMax} bytes`);
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new ConfigError(setting, `${path} can't be read: ${(error as Error).message}`);
  }
}

/**
 * Certificates of authorities. A file without any would mean that nobody is trusted.
 * @throws ConfigError
 */
export async function readAuthorities(setting: keyof GatewayConfig, path: string): Promise<string> {
  const ca = await readPem(setting, path);
  const certificates = ca.match(certificateForm) ?? [];
  if (certificates.length === 0) throw new ConfigError(setting, `${path} has no certificate`);
  for (const certificate of certificates) usable(setting, path, () => new X509Certificate(certificate));
  return ca;
}

/** @throws ConfigError if a file can't be read, or the key is not that of the certificate */
export async function readIdentity(
  [certSetting, certPath]: readonly [keyof GatewayConfig, string],
  [keySetting, keyPath]: readonly [keyof GatewayConfig, string],
): Promise<TlsIdentity> {
  const [cert, key] = await Promise.all([readPem(certSetting, certPath), readPem(keySetting, keyPath)]);
  usable(certSetting, certPath, () => createSecureContext({ cert, key }));
  return { cert, key };
}

function usable(setting: keyof GatewayConfig, path: string, attempt: () => unknown): void {
  try {
    attempt();
  } catch (error) {
    throw new ConfigError(setting, `${path} can't be used: ${(error as Error).message}`);
  }
}

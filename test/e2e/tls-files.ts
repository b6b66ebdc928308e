// Test certificates, valid until 2126 for 127.0.0.1 and engines.test: an authority, and two certificates signed by it.
//
// Made by `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500`, the two with
// `-CA authority.pem -addext subjectAltName=IP:127.0.0.1,DNS:engines.test`. The authority's key was thrown away.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const pathOf = (name: string): string => fileURLToPath(new URL(`tls/${name}`, import.meta.url));

export const authorityFile: string = pathOf('authority.pem');

export function tlsIdentity(name: 'first' | 'second'): { readonly cert: string; readonly key: string } {
  return { cert: readFileSync(pathOf(`${name}.pem`), 'utf8'), key: readFileSync(pathOf(`${name}-key.pem`), 'utf8') };
}

/**
 * Certificates that clients show, made by `tls/make-clients.sh`. `forged` is by another authority, `server` may not be
 * shown by clients, `tricky` has several common names, and one name that reads like two.
 */
export type ClientCertificate = 'alice' | 'bob' | 'forged' | 'server' | 'tricky' | 'expired';

/** The authority of all but `forged`, and that of `forged`. */
export const clientAuthorityFile: string = pathOf('clients/authority.pem');
export const strangerFile: string = pathOf('clients/stranger.pem');

export function clientFiles(name: ClientCertificate): { readonly certFile: string; readonly keyFile: string } {
  return { certFile: pathOf(`clients/${name}.pem`), keyFile: pathOf(`clients/${name}-key.pem`) };
}

export function clientIdentity(name: ClientCertificate): { readonly cert: string; readonly key: string } {
  const { certFile, keyFile } = clientFiles(name);
  return { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
}

/** As settings of a gateway. */
export function tlsSettings(name: 'first' | 'second'): { readonly tlsCertFile: string; readonly tlsKeyFile: string } {
  return { tlsCertFile: pathOf(`${name}.pem`), tlsKeyFile: pathOf(`${name}-key.pem`) };
}

// How a gateway logs in to NATS: TLS and one of user, token, credentials or nkey. Files are read at each connection.

import { readFile } from 'node:fs/promises';
import type { NodeConnectionOptions } from '@nats-io/transport-node';
import type { GatewayConfig } from '../config/config.ts';

type Nats = typeof import('@nats-io/transport-node');

export type NatsAccess = Pick<
  GatewayConfig,
  | 'nats'
  | 'natsUser'
  | 'natsPassword'
  | 'natsToken'
  | 'natsCredsFile'
  | 'natsNkeyFile'
  | 'natsCaFile'
  | 'natsCertFile'
  | 'natsKeyFile'
>;

/** @throws Error if a file can't be read or used */
export async function accessOptions(nats: Nats, access: NatsAccess): Promise<NodeConnectionOptions> {
  return { servers: access.nats.map(withoutScheme), ...(await login(nats, access)), ...(await tlsOf(access)) };
}

async function login(nats: Nats, access: NatsAccess): Promise<NodeConnectionOptions> {
  const { natsUser, natsPassword, natsToken, natsCredsFile, natsNkeyFile } = access;
  if (natsUser !== null) return { user: natsUser, pass: natsPassword! };
  if (natsToken !== null) return { token: natsToken };
  if (natsCredsFile !== null) return { authenticator: nats.credsAuthenticator(await readFile(natsCredsFile)) };
  if (natsNkeyFile === null) return {};
  const seed = /\bSU[A-Z2-7]{56}\b/.exec(await readFile(natsNkeyFile, 'latin1'))?.[0];
  if (seed === undefined) throw new Error(`${natsNkeyFile} has no nkey seed of a user (SU...)`);
  return { authenticator: nats.nkeyAuthenticator(new TextEncoder().encode(seed)) };
}

/** With `tls://` or a file of TLS the connection is encrypted; otherwise it is if the server demands it. */
async function tlsOf({ nats, natsCaFile, natsCertFile, natsKeyFile }: NatsAccess): Promise<NodeConnectionOptions> {
  const isTls = nats.some((server) => /^tls:/i.test(server)) || natsCaFile !== null || natsCertFile !== null;
  if (!isTls) return {};
  const [ca, cert, key] = await Promise.all(
    [natsCaFile, natsCertFile, natsKeyFile].map((path) => (path === null ? undefined : readFile(path, 'utf8'))),
  );
  return {
    tls: { ...(ca !== undefined && { ca }), ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) },
  };
}

function withoutScheme(server: string): string {
  return server.replace(/^\w+:\/\//, '');
}

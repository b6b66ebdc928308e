// What the log says at the start about who has access.

import type { GatewayConfig } from '../config/config.ts';
import { isThisMachine, unixPathOf } from '../config/listen-address.ts';
import { isGuarded } from '../config/operator-guard.ts';

/** Describes access for the start of the log; `loud` if other machines have access without a key. */
export function describeAccess(
  config: GatewayConfig,
  keyCount: number,
  adminUrl: string | null,
): readonly { readonly loud: boolean; readonly message: string }[] {
  const { host, adminKey, viewKey, clientCertRequired, adminCertificates, viewCertificates } = config;
  const local = isThisMachine(host);
  const onMachine = unixPathOf(host) === null ? 'everyone on this machine' : 'everyone who may open the socket';
  const everyone = local ? onMachine : 'EVERYONE WHO REACHES THE ADDRESS';
  const holders = 'everyone with a certificate of clientCaFile';
  const quiet = (message: string) => ({ loud: false, message });
  const subject = 'workers, loads, decisions and metrics';
  const at = adminUrl === null ? '' : ` at ${adminUrl}`;
  return [
    keyCount === 0 && clientCertRequired
      ? quiet(`no API keys are set: ${holders} may use every model`)
      : keyCount === 0
        ? { loud: !local, message: `no API keys are set: ${everyone} may use every model` }
        : quiet(`the OpenAI API is open to ${keyCount} API keys`),
    { loud: !local, message: `/health and /ready are open to ${everyone}` },
    ...(adminKey !== null ? [quiet(`${subject}: with the admin key${at && `, also${at}`}`)] : []),
    ...(adminCertificates.length > 0
      ? [quiet(`${subject}: with one of ${adminCertificates.length} names of certificates${at}`)]
      : []),
    ...(!isGuarded(config) && adminUrl !== null ? [quiet(`${subject}: this machine only, without a key,${at}`)] : []),
    ...(adminKey === null && adminUrl === null && viewKey === null ? [quiet(`${subject}: open to nobody`)] : []),
    ...(viewKey !== null ? [quiet(`${subject}: read-only with the view key`)] : []),
    ...(viewCertificates.length > 0
      ? [quiet(`${subject}: read-only with one of ${viewCertificates.length} names of certificates${at}`)]
      : []),
  ];
}

// Whether operators have to prove who they are.

import type { GatewayConfig } from './config.ts';

/** False: whoever is on this machine is an operator, at their listener. A key or certificates that allow only to look do not count. */
export function isGuarded({
  adminKey,
  adminCertificates,
}: Pick<GatewayConfig, 'adminKey' | 'adminCertificates'>): boolean {
  return adminKey !== null || adminCertificates.length > 0;
}

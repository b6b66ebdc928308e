// The settings of one front: its share of the limits that the fronts have together.

import type { GatewayConfig } from '../config/config.ts';
import { largestBodiesMin } from '../config/config.ts';
import { unixPathOf } from '../config/listen-address.ts';
import type { ReferencedFiles } from '../config/referenced-files.ts';
import { clientKeys } from '../config/tenants.ts';
import type { FrontSettings } from './front-messages.ts';

/** Connections are spread evenly, so equal shares serve as one limit would. @param traces the owner traces requests */
export function frontSettings(
  config: GatewayConfig,
  { apiKeys, tls }: ReferencedFiles,
  traces: boolean,
): FrontSettings {
  const share = (whole: number): number => Math.ceil(whole / config.threads);
  const { connectionsMax, unprovenPerAddressMax, bodiesBytesMax, bodyBytesMax } = config;
  // Any body that one process takes must fit.
  const bodiesBytesMin = largestBodiesMin * bodyBytesMax;
  return {
    config: {
      ...config,
      connectionsMax: share(connectionsMax),
      unprovenPerAddressMax: share(unprovenPerAddressMax),
      bodiesBytesMax: bodiesBytesMax === 'auto' ? 'auto' : Math.max(bodiesBytesMin, share(bodiesBytesMax)),
    },
    apiKeys: clientKeys([...config.apiKeys, ...apiKeys], config.tenants),
    tls: unixPathOf(config.host) === null ? tls : null,
    traces,
  };
}

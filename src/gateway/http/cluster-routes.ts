// `GET /cluster`: which replicas share, how old each view is, what was lost and healed.

import type { OriginView } from '../../cluster/index.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { replyJson } from '../exchange/http-reply.ts';
import type { Peers } from '../peers/peers.ts';
import type { GatewayContext } from './gateway-context.ts';

/** Milliseconds since 1970 that a date can be made of. */
const dateMsMax = 8.64e15;

/**
 * `alone`: no NATS server is set. `whole`: every expected replica is heard. `partial`: own load stands for the missing
 * ones where load is compared with a limit.
 */
export type ClusterViewState = 'alone' | 'whole' | 'partial';

export function clusterViewState(peers: Peers | null): ClusterViewState {
  if (peers === null) return 'alone';
  return peers.view.partial ? 'partial' : 'whole';
}

export function answerCluster({ peers, config }: GatewayContext, { response }: Exchange): void {
  replyJson(response, 200, describeCluster(peers, config.cluster));
}

function describeCluster(peers: Peers | null, cluster: string): object {
  if (peers === null) return { cluster: null, view: clusterViewState(peers), replicas: [] };
  const { view } = peers;
  return {
    cluster,
    view: clusterViewState(peers),
    /** This one. */
    replica: view.origin,
    since: dateOf(view.epoch),
    requestsInFlight: view.runningRequests,
    /** This one included. */
    replicasHeard: view.replicas,
    replicasExpected: view.expected,
    nats: peers.linkStatus,
    replicas: view.origins.map(describeReplica),
    received: view.received,
    sent: view.sent,
    ...peers.counts,
    keyShares: peers.shares.view(),
  };
}

function describeReplica({ origin, about, epoch, correctedTokens, ...view }: OriginView): object {
  const [version = '', address = ''] = about.split(' ');
  return {
    id: origin,
    version,
    address,
    since: dateOf(epoch),
    ...view,
    ageMs: Math.round(view.ageMs),
    gaugeAgeMs: Math.round(view.gaugeAgeMs),
    /** How far the view of its load was from its latest gauge. */
    loadErrorTokens: correctedTokens,
  };
}

/** Others may say anything. */
function dateOf(ms: number): string | null {
  return Math.abs(ms) <= dateMsMax ? new Date(ms).toISOString() : null;
}

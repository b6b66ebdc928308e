// Metrics of the replicas that share load with this one.

import { Counter, Gauge, type Registry } from 'prom-client';
import type { OriginView, ReplicaView } from '../../cluster/index.ts';

/** What the metrics are made of. */
export interface ClusterFigures {
  readonly view: ReplicaView;
  readonly linkStatus: {
    readonly state: string;
    readonly messagesIn: number;
    readonly messagesOut: number;
    readonly bytesIn: number;
    readonly bytesOut: number;
    readonly droppedIn: number;
    readonly droppedOut: number;
  };
}

const originGauges: readonly (readonly [name: string, help: string, read: (view: OriginView) => number])[] = [
  ['kvoyant_cluster_view_age_seconds', 'Time since the last message of another replica.', (view) => view.ageMs / 1000],
  [
    'kvoyant_cluster_load_error_tokens',
    'How far the view of another replica was from its latest gauge, in tokens of load.',
    (view) => view.correctedTokens,
  ],
  [
    'kvoyant_cluster_requests',
    'Requests in flight of another replica, as counted here.',
    (view) => view.runningRequests,
  ],
  [
    'kvoyant_cluster_strange_workers',
    'Workers of another replica that this one has not: their load is not counted.',
    (view) => view.strangeWorkers,
  ],
];

const originCounters: readonly (readonly [name: string, help: string, read: (view: OriginView) => number])[] = [
  ['kvoyant_cluster_gaps_total', 'Messages of another replica that never came.', ({ counts }) => counts.gaps],
  ['kvoyant_cluster_healed_total', 'Gauges that made the view whole after a gap.', ({ counts }) => counts.healed],
  ['kvoyant_cluster_resets_total', 'Restarts of another replica under its name.', ({ counts }) => counts.resets],
  ['kvoyant_cluster_lost_total', 'How often another replica fell silent.', ({ counts }) => counts.lost],
];

/** @param figures null: this gateway is the only one, and the metrics have no values */
export function registerCluster(registry: Registry, figures: () => ClusterFigures | null): void {
  const registers = [registry];
  new Gauge({
    name: 'kvoyant_cluster_replicas',
    help: 'Replicas of this gateway, itself included: heard, and expected.',
    labelNames: ['state'],
    registers,
    collect() {
      const found = figures();
      if (found === null) return;
      this.set({ state: 'heard' }, found.view.replicas);
      this.set({ state: 'expected' }, found.view.expected);
    },
  });
  new Gauge({
    name: 'kvoyant_cluster_view_partial',
    help: '1 while an expected replica is not heard, else 0.',
    registers,
    collect() {
      this.set(figures()?.view.partial === true ? 1 : 0);
    },
  });
  new Gauge({
    name: 'kvoyant_cluster_connected',
    help: '1 while connected to NATS, else 0; 0 also if there is none to connect to.',
    registers,
    collect() {
      this.set(figures()?.linkStatus.state === 'connected' ? 1 : 0);
    },
  });
  for (const [name, help, read] of originGauges) {
    new Gauge({
      name,
      help,
      labelNames: ['replica'],
      registers,
      collect() {
        this.reset();
        for (const view of heardOf(figures)) this.set({ replica: view.origin }, read(view));
      },
    });
  }
  for (const [name, help, read] of originCounters) {
    new Counter({
      name,
      help,
      labelNames: ['replica'],
      registers,
      collect() {
        this.reset();
        for (const view of heardOf(figures)) this.inc({ replica: view.origin }, read(view));
      },
    });
  }
  registerMessages(registry, figures);
}

/** Bounded by the replicas that the state machine remembers. */
function heardOf(figures: () => ClusterFigures | null): readonly OriginView[] {
  return figures()?.view.origins ?? [];
}

function registerMessages(registry: Registry, figures: () => ClusterFigures | null): void {
  const registers = [registry];
  new Counter({
    name: 'kvoyant_cluster_messages_total',
    help: 'Messages of replicas over NATS: in, out, and dropped on the way in or out.',
    labelNames: ['direction'],
    registers,
    collect() {
      this.reset();
      const status = figures()?.linkStatus;
      if (status === undefined) return;
      this.inc({ direction: 'in' }, status.messagesIn);
      this.inc({ direction: 'out' }, status.messagesOut);
      this.inc({ direction: 'dropped-in' }, status.droppedIn);
      this.inc({ direction: 'dropped-out' }, status.droppedOut);
    },
  });
  new Counter({
    name: 'kvoyant_cluster_bytes_total',
    help: 'Bytes of messages of replicas over NATS.',
    labelNames: ['direction'],
    registers,
    collect() {
      this.reset();
      const status = figures()?.linkStatus;
      if (status === undefined) return;
      this.inc({ direction: 'in' }, status.bytesIn);
      this.inc({ direction: 'out' }, status.bytesOut);
    },
  });
  new Counter({
    name: 'kvoyant_cluster_load_messages_total',
    help: 'Messages about load by what became of them (docs/cluster.md).',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset();
      for (const [outcome, count] of Object.entries(figures()?.view.received ?? {})) this.inc({ outcome }, count);
    },
  });
}

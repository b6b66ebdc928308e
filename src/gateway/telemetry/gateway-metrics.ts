// The gateway's Prometheus metrics: every name in one place.

import { Counter, Gauge, Registry } from 'prom-client';
import type { WorkerLoad } from '../../core/index.ts';
import type { Engine } from '../engines/engine.ts';
import type { Pools } from '../pools/pools.ts';
import { AdmissionMetrics } from './admission-metrics.ts';
import { BucketHistogram, latencyBucketsS } from './bucket-histogram.ts';
import { type ClusterFigures, registerCluster } from './cluster-metrics.ts';
import { ContinuationMetrics } from './continuation-metrics.ts';
import { LabelCap } from './label-cap.ts';
import { registerPredictions } from './prediction-metrics.ts';
import { registerOfWorkers } from './read-metric.ts';
import { RouteMetrics } from './route-metrics.ts';
import { SelectionMetrics } from './selection-metrics.ts';
import { type ShadowFigures, ShadowMetrics } from './shadow-metrics.ts';
import { UsageMetrics } from './usage-metrics.ts';
import { registerWorkers } from './worker-metrics.ts';

/** Label for models that no worker lists: names that clients make up must not become labels. */
export const unknownModel = '(unknown)';

/** Engines may list any number of adapters. */
const modelLabelsMax = 256;

/** Current figures of the clients' listener. */
export interface DoorFigures {
  /** Connection counts by state. */
  connections(): Readonly<Record<string, number>>;
  bodyBytes(): number;
  answerBytes(): number;
  /** Processes that hold connections; 0: the gateway's own does. */
  threads(): number;
  shadows(): ShadowFigures;
}

export class GatewayMetrics {
  readonly registry: Registry = new Registry();
  readonly requests: Counter<'model' | 'status'>;
  readonly decisions: Counter<'policy' | 'reason'>;
  readonly unansweredAttempts: Counter<'failure'>;
  readonly retries: Counter;
  readonly aborted: Counter;
  readonly tokenizerFailures: Counter<'code'>;
  readonly unobservedStreams: Counter;
  readonly malformedUsages: Counter;
  readonly conversionChecks: Counter;
  /** By the name of the limit. */
  readonly limited: Counter<'limit'>;
  readonly recordedLines: Counter<'fate'>;
  readonly threadRequests: Counter<'by'>;
  readonly threadDeaths: Counter;
  readonly spans: Counter<'fate'>;
  readonly metricExports: Counter<'fate'>;
  readonly promptTokens: Counter;
  readonly outputTokens: Counter;
  readonly predictedCachedTokens: Counter;
  readonly actualCachedTokens: Counter;
  /** Absolute difference between predicted and actual cached tokens. */
  readonly overlapErrorTokens: BucketHistogram;
  readonly ttftS: BucketHistogram;
  readonly itlS: BucketHistogram;
  readonly admission: AdmissionMetrics;
  readonly usage: UsageMetrics;
  readonly selection: SelectionMetrics;
  readonly routes: RouteMetrics;
  readonly continuations: ContinuationMetrics;
  readonly shadows: ShadowMetrics;
  readonly #models = new LabelCap(modelLabelsMax);

  /** @param cluster null: there are no other replicas */
  constructor(
    pools: Pools,
    engines: readonly Engine[],
    door: DoorFigures,
    cluster: () => ClusterFigures | null = () => null,
  ) {
    const registers = [this.registry];
    const counter = <T extends string>(name: string, help: string, labelNames: readonly T[]): Counter<T> =>
      new Counter({ name, help, labelNames, registers });

    this.requests = counter('kvoyant_requests_total', 'Answered requests by model and status (499: client gone).', [
      'model',
      'status',
    ]);
    this.decisions = counter('kvoyant_decisions_total', 'Routing decisions by policy and reason.', [
      'policy',
      'reason',
    ]);
    this.unansweredAttempts = counter(
      'kvoyant_unanswered_attempts_total',
      'Attempts that failed before an answer, by failure.',
      ['failure'],
    );
    this.retries = counter('kvoyant_retries_total', 'Attempts beyond the first of their request.', []);
    this.aborted = counter('kvoyant_aborted_requests_total', 'Requests whose client disconnected.', []);
    this.tokenizerFailures = counter(
      'kvoyant_tokenizer_failures_total',
      'Prompts routed by bytes instead of tokens, by cause.',
      ['code'],
    );
    this.unobservedStreams = counter(
      'kvoyant_unobserved_streams_total',
      'Compressed streams, whose tokens are not counted.',
      [],
    );
    this.malformedUsages = counter(
      'kvoyant_malformed_usages_total',
      'Impossible usages reported by engines; ignored.',
      [],
    );
    this.conversionChecks = counter(
      'kvoyant_conversion_checks_total',
      'Responses and messages whose prompt tokens were counted, by API and whether the engine counted as many.',
      ['api', 'result'],
    );
    this.limited = counter('kvoyant_limited_total', 'Requests and connections refused or ended by a limit, by limit.', [
      'limit',
    ]);
    this.recordedLines = counter('kvoyant_recorded_lines_total', 'Lines of the traffic recording, by fate.', ['fate']);
    this.threadRequests = counter(
      'kvoyant_thread_requests_total',
      'Requests at the connection processes: read and relayed there (thread), or passed on to the gateway (owner).',
      ['by'],
    );
    this.threadDeaths = counter(
      'kvoyant_thread_deaths_total',
      'Processes for connections that died; each was replaced.',
      [],
    );
    this.spans = counter(
      'kvoyant_trace_spans_total',
      'Spans for the OpenTelemetry collector, by fate: sent, failed (no collector took them) or dropped (too many waiting).',
      ['fate'],
    );
    this.metricExports = counter(
      'kvoyant_metric_exports_total',
      'Exports of these metrics to the OpenTelemetry collector, by fate: sent or failed.',
      ['fate'],
    );
    this.promptTokens = counter('kvoyant_prompt_tokens_total', 'Prompt tokens that engines reported.', []);
    this.outputTokens = counter('kvoyant_output_tokens_total', 'Output tokens counted or reported.', []);
    const compared = 'of requests whose engine reports its cached tokens.';
    this.predictedCachedTokens = counter('kvoyant_predicted_cached_tokens_total', `Overlap predicted, ${compared}`, []);
    this.actualCachedTokens = counter('kvoyant_actual_cached_tokens_total', `Cached prompt tokens, ${compared}`, []);
    this.overlapErrorTokens = new BucketHistogram(
      this.registry,
      'kvoyant_overlap_error_tokens',
      'Difference between predicted and actual cached tokens, for requests with known token ids.',
      errorBucketsTokens,
    );
    this.ttftS = new BucketHistogram(
      this.registry,
      'kvoyant_time_to_first_token_seconds',
      'Time from the arrival of a streaming request to its first token.',
      latencyBucketsS,
    );
    this.itlS = new BucketHistogram(
      this.registry,
      'kvoyant_inter_token_latency_seconds',
      'Gap between neighbouring tokens of a stream.',
      latencyBucketsS,
    );
    this.admission = new AdmissionMetrics(this.registry, pools);
    this.usage = new UsageMetrics(this.registry, pools);
    this.selection = new SelectionMetrics(this.registry);
    this.routes = new RouteMetrics(this.registry);
    this.continuations = new ContinuationMetrics(this.registry);
    this.shadows = new ShadowMetrics(this.registry, door.shadows);
    registerLoads(this.registry, pools);
    registerPredictions(this.registry, pools);
    registerWorkers(this.registry, engines);
    registerDoor(this.registry, door);
    registerCluster(this.registry, cluster);
  }

  async limitedByName(): Promise<Readonly<Record<string, number>>> {
    const { values } = await this.limited.get();
    return Object.fromEntries(values.map(({ labels, value }) => [String(labels.limit), value]));
  }

  /** The label of a model that a worker lists or has listed. */
  modelLabel(model: string): string {
    return this.#models.of(model);
  }
}

const errorBucketsTokens: readonly number[] = [0, 16, 64, 256, 1024, 4096, 16_384, 65_536];

const loadGauges: readonly (readonly [name: string, help: string, read: (load: WorkerLoad) => number])[] = [
  ['kvoyant_active_blocks', 'KV blocks of the requests in flight.', (load) => load.activeBlocks],
  ['kvoyant_active_prefill_tokens', 'Prompt tokens booked but not computed yet.', (load) => load.activePrefillTokens],
  ['kvoyant_running_requests', 'Bookings in flight.', (load) => load.runningRequests],
  [
    'kvoyant_others_blocks',
    'KV blocks of the requests that other replicas have in flight, without those that are counted already.',
    (load) => load.othersBlocks,
  ],
  [
    'kvoyant_common_blocks',
    'KV blocks that requests of several replicas contain: how many the sum over replicas counts too often.',
    (load) => load.commonBlocks,
  ],
  [
    'kvoyant_others_prefill_tokens',
    'Prompt tokens that other replicas have booked, not computed yet.',
    (load) => load.othersPrefillTokens,
  ],
  ['kvoyant_others_requests', 'Bookings that other replicas have in flight.', (load) => load.othersRequests],
  ['kvoyant_held_blocks', 'Blocks in the prefix index.', (load) => load.heldBlocks],
  ['kvoyant_capacity_blocks', 'KV cache capacity in blocks.', (load) => load.capacityBlocks],
  ['kvoyant_prefill_tokens_per_second', 'Observed prefill speed.', (load) => load.prefillTokensPerS],
  [
    'kvoyant_kv_event_lag_seconds',
    'Observed delay of KV events after the first token.',
    (load) => load.eventLagMs / 1000,
  ],
];

function registerLoads(registry: Registry, pools: Pools): void {
  for (const [name, help, read] of loadGauges)
    registerOfWorkers(registry, 'gauge', name, help, () => loadsOf(pools, read));
}

function* loadsOf(
  pools: Pools,
  read: (load: WorkerLoad) => number,
): Generator<readonly [worker: string, value: number]> {
  for (const { router } of pools) {
    router.advance(performance.now());
    for (const load of router.loads()) yield [load.id, read(load)];
  }
}

function registerDoor(registry: Registry, { connections, bodyBytes, answerBytes, threads }: DoorFigures): void {
  new Gauge({
    name: 'kvoyant_threads',
    help: 'Processes that hold client connections (setting threads); 0: one process does everything.',
    registers: [registry],
    collect() {
      this.set(threads());
    },
  });
  new Gauge({
    name: 'kvoyant_client_connections',
    help: 'Open client connections: unproven (no request admitted yet), idle or busy.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      for (const [state, count] of Object.entries(connections())) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'kvoyant_request_body_bytes',
    help: 'Memory held for the bodies of requests in flight.',
    registers: [registry],
    collect() {
      this.set(bodyBytes());
    },
  });
  new Gauge({
    name: 'kvoyant_answer_bytes',
    help: "Memory held for the buffered parts of engines' answers.",
    registers: [registry],
    collect() {
      this.set(answerBytes());
    },
  });
}

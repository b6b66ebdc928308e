// The Grafana dashboard, derived from lists of panels. Every query is checked against the metrics of the code.

/** One line of a chart: a PromQL query, in which $worker is the chosen workers, and its name. */
type Query = readonly [query: string, name: string];

interface Panel {
  readonly title: string;
  /** What a reader learns from it, and what to do. */
  readonly about: string;
  readonly unit: 's' | 'short' | 'percentunit' | 'reqps' | 'bytes' | 'none';
  readonly kind?: 'timeseries' | 'stat' | 'stacked' | 'table';
  readonly queries: readonly Query[];
}

const rate = '$__rate_interval';
const own = '{job=~"$job",instance=~"$instance"}';
const ofWorkers = '{job=~"$job",instance=~"$instance",worker=~"$worker"}';

const quantile = (q: number, metric: string): string =>
  `histogram_quantile(${q}, sum by (le) (rate(${metric}_bucket${own}[${rate}])))`;
const perS = (metric: string, by: string, selector = own): string =>
  `sum by (${by}) (rate(${metric}${selector}[${rate}]))`;

const rows: readonly (readonly [title: string, panels: readonly Panel[]])[] = [
  [
    'At a glance',
    [
      {
        title: 'Engines ready',
        about: 'Engines that take requests. GET /workers says why one does not.',
        unit: 'short',
        kind: 'stat',
        queries: [[`sum(kvoyant_engine_ready${own})`, 'ready']],
      },
      {
        title: 'Prompt tokens from cache',
        about: 'Cached over prompt tokens, as the engines report them.',
        unit: 'percentunit',
        kind: 'stat',
        queries: [
          [
            `sum(rate(kvoyant_actual_cached_tokens_total${own}[${rate}])) / sum(rate(kvoyant_prompt_tokens_total${own}[${rate}]))`,
            'cached',
          ],
        ],
      },
      {
        title: 'Median time to first token',
        about: 'Of streams, from the arrival of the request, retries and queue included.',
        unit: 's',
        kind: 'stat',
        queries: [[quantile(0.5, 'kvoyant_time_to_first_token_seconds'), 'p50']],
      },
      {
        title: 'Answers with a server error',
        about: 'Share of 5xx among all answers. The log and GET /decisions have the cause of each.',
        unit: 'percentunit',
        kind: 'stat',
        queries: [
          [
            `(sum(rate(kvoyant_requests_total{job=~"$job",instance=~"$instance",status=~"5.."}[${rate}])) or vector(0)) / sum(rate(kvoyant_requests_total${own}[${rate}]))`,
            '5xx',
          ],
        ],
      },
    ],
  ],
  [
    'What clients see',
    [
      {
        title: 'Answers by status',
        about:
          '499: the client disconnected. 502: no engine reachable. 503: none ready, or a full queue. 504: too slow.',
        unit: 'reqps',
        kind: 'stacked',
        queries: [[perS('kvoyant_requests_total', 'status'), '{{status}}']],
      },
      {
        title: 'Time to first token',
        about: 'If p99 rises and the prefill backlog with it, capacity is short.',
        unit: 's',
        queries: [
          [quantile(0.5, 'kvoyant_time_to_first_token_seconds'), 'p50'],
          [quantile(0.9, 'kvoyant_time_to_first_token_seconds'), 'p90'],
          [quantile(0.99, 'kvoyant_time_to_first_token_seconds'), 'p99'],
        ],
      },
      {
        title: 'Gap between tokens',
        about: 'Inter-token latency of streams.',
        unit: 's',
        queries: [
          [quantile(0.5, 'kvoyant_inter_token_latency_seconds'), 'p50'],
          [quantile(0.99, 'kvoyant_inter_token_latency_seconds'), 'p99'],
        ],
      },
      {
        title: 'Retries and failed attempts',
        about: 'Attempts that failed before an answer, by failure. Clients do not notice the ones that were repeated.',
        unit: 'reqps',
        queries: [
          [perS('kvoyant_unanswered_attempts_total', 'failure'), '{{failure}}'],
          [`sum(rate(kvoyant_retries_total${own}[${rate}]))`, 'retries'],
        ],
      },
      {
        title: 'Tokens',
        about: 'Prompt and output tokens per second.',
        unit: 'short',
        queries: [
          [`sum(rate(kvoyant_prompt_tokens_total${own}[${rate}]))`, 'prompt'],
          [`sum(rate(kvoyant_actual_cached_tokens_total${own}[${rate}]))`, 'of these cached'],
          [`sum(rate(kvoyant_output_tokens_total${own}[${rate}]))`, 'output'],
        ],
      },
      {
        title: 'Limits reached',
        about: 'docs/operations.md explains each limit.',
        unit: 'reqps',
        kind: 'stacked',
        queries: [[perS('kvoyant_limited_total', 'limit'), '{{limit}}']],
      },
    ],
  ],
  [
    'Load of the workers',
    [
      {
        title: 'Active blocks over capacity',
        about: 'KV blocks of the requests in flight. Above 1 a worker preempts requests.',
        unit: 'percentunit',
        queries: [[`kvoyant_active_blocks${ofWorkers} / (kvoyant_capacity_blocks${ofWorkers} > 0)`, '{{worker}}']],
      },
      {
        title: 'Prefill tokens in flight',
        about: 'Prompt tokens booked but not computed yet.',
        unit: 'short',
        queries: [[`kvoyant_active_prefill_tokens${ofWorkers}`, '{{worker}}']],
      },
      {
        title: 'Predicted prefill backlog',
        about: 'Time until the prefill booked on a worker is done.',
        unit: 's',
        queries: [[`kvoyant_prefill_backlog_seconds${ofWorkers}`, '{{worker}}']],
      },
      {
        title: 'Running requests',
        about: 'Bookings in flight.',
        unit: 'short',
        queries: [[`kvoyant_running_requests${ofWorkers}`, '{{worker}}']],
      },
      {
        title: 'Slowness',
        about: 'How many times slower a worker is than its pool. A steady 3 is a sick engine.',
        unit: 'none',
        queries: [[`kvoyant_worker_slowness${ofWorkers}`, '{{worker}}']],
      },
      {
        title: 'Queue',
        about: 'Requests that wait because every worker is full.',
        unit: 'short',
        queries: [[`kvoyant_queue_depth${own}`, '{{pool}}']],
      },
    ],
  ],
  [
    'Can the view be trusted?',
    [
      {
        title: 'Prompt tokens by fate',
        about:
          'workload-miss: nobody held them. routing-miss: another worker did. index-miss: the index was wrong; more than a few per cent of cached needs a look at kvoyant_worker_trust.',
        unit: 'short',
        kind: 'stacked',
        queries: [[perS('kvoyant_prompt_tokens_by_fate_total', 'fate', ofWorkers), '{{fate}}']],
      },
      {
        title: 'Predicted and actual cached tokens',
        about: 'Two lines on top of each other: the index is right.',
        unit: 'short',
        queries: [
          [`sum(rate(kvoyant_predicted_cached_tokens_total${own}[${rate}]))`, 'predicted'],
          [`sum(rate(kvoyant_actual_cached_tokens_total${own}[${rate}]))`, 'actual'],
        ],
      },
      {
        title: 'Error of the predicted time to first token',
        about: 'Mean of |predicted - actual| / actual, over the latest requests of each worker.',
        unit: 'percentunit',
        queries: [[`kvoyant_ttft_prediction_error_ratio${ofWorkers}`, '{{worker}}']],
      },
      {
        title: 'Trust and findings',
        about: 'Trust other than exact, with its reason, and what the canary or the traffic has found.',
        unit: 'none',
        kind: 'table',
        queries: [
          [`kvoyant_worker_trust{job=~"$job",instance=~"$instance",worker=~"$worker",kind!="exact"}`, 'trust'],
          [`kvoyant_worker_findings${ofWorkers} > 0`, 'finding'],
        ],
      },
      {
        title: 'KV events that went wrong',
        about: 'Lost or doubled batches, gaps, restarts, failed replays, by kind.',
        unit: 'short',
        queries: [
          [
            `sum by (kind) (rate(kvoyant_kv_events_total{job=~"$job",instance=~"$instance",worker=~"$worker",kind!~"batch|applied-block"}[${rate}]))`,
            '{{kind}}',
          ],
        ],
      },
      {
        title: 'Delay of KV events',
        about: 'From the first token to the events of its prompt.',
        unit: 's',
        queries: [[`kvoyant_kv_event_lag_seconds${ofWorkers}`, '{{worker}}']],
      },
    ],
  ],
  [
    'Decisions and the gateway itself',
    [
      {
        title: 'Decisions by reason',
        about: 'GET /decisions has each one with the cost of every candidate.',
        unit: 'reqps',
        kind: 'stacked',
        queries: [[perS('kvoyant_decisions_total', 'policy, reason'), '{{policy}} {{reason}}']],
      },
      {
        title: 'Regret',
        about: 'Mean time by which first tokens would have come sooner from the worker that was best in hindsight.',
        unit: 's',
        queries: [
          [
            `sum by (worker) (rate(kvoyant_ttft_regret_seconds_total${ofWorkers}[${rate}])) / sum by (worker) (rate(kvoyant_ttft_regrets_total${ofWorkers}[${rate}]))`,
            '{{worker}}',
          ],
        ],
      },
      {
        title: 'Client connections',
        about: 'unproven: no request admitted yet.',
        unit: 'short',
        kind: 'stacked',
        queries: [[`sum by (state) (kvoyant_client_connections${own})`, '{{state}}']],
      },
      {
        title: 'Memory held for requests and answers',
        about: 'Bodies of requests in flight, and the buffered parts of answers.',
        unit: 'bytes',
        queries: [
          [`sum(kvoyant_request_body_bytes${own})`, 'requests'],
          [`sum(kvoyant_answer_bytes${own})`, 'answers'],
        ],
      },
    ],
  ],
  [
    'Replicas, threads, telemetry',
    [
      {
        title: 'Replicas heard and expected',
        about: 'Below expected: a replica or NATS is missing, and own load stands for its load. GET /cluster names it.',
        unit: 'short',
        queries: [[`kvoyant_cluster_replicas${own}`, '{{instance}} {{state}}']],
      },
      {
        title: 'Age of the view of other replicas',
        about: 'Above a second a replica is about to be lost, or this one does not keep up.',
        unit: 's',
        queries: [[`kvoyant_cluster_view_age_seconds${own}`, '{{instance}} of {{replica}}']],
      },
      {
        title: 'Messages of replicas that went wrong',
        about: 'gaps: never came. lost: a replica fell silent. Dropped messages are those of a slow consumer.',
        unit: 'short',
        queries: [
          [perS('kvoyant_cluster_gaps_total', 'instance'), '{{instance}} gaps'],
          [perS('kvoyant_cluster_lost_total', 'instance'), '{{instance}} lost'],
          [
            `sum by (instance, direction) (rate(kvoyant_cluster_messages_total{job=~"$job",instance=~"$instance",direction=~"dropped.*"}[${rate}]))`,
            '{{instance}} {{direction}}',
          ],
        ],
      },
      {
        title: 'Error of the view of load',
        about: 'How far the view of another replica was from its latest gauge, in tokens.',
        unit: 'short',
        queries: [[`kvoyant_cluster_load_error_tokens${own}`, '{{instance}} of {{replica}}']],
      },
      {
        title: 'Requests at the threads',
        about: 'thread: read and relayed there. owner: passed on to the process that chooses, which costs more.',
        unit: 'reqps',
        kind: 'stacked',
        queries: [[perS('kvoyant_thread_requests_total', 'by'), '{{by}}']],
      },
      {
        title: 'Threads that died',
        about: 'Each was replaced, and its streams were lost. The log has the reason.',
        unit: 'short',
        queries: [
          [`sum by (instance) (increase(kvoyant_thread_deaths_total${own}[${rate}]))`, '{{instance}} died'],
          [`kvoyant_threads${own}`, '{{instance}} running'],
        ],
      },
      {
        title: 'Spans for the OpenTelemetry collector',
        about: 'failed: no collector took them. dropped: too many were waiting. docs/tracing.md has the bounds.',
        unit: 'short',
        kind: 'stacked',
        queries: [[perS('kvoyant_trace_spans_total', 'fate'), '{{fate}}']],
      },
      {
        title: 'Exports of metrics over OTLP',
        about: 'Only if a collector is configured.',
        unit: 'short',
        kind: 'stacked',
        queries: [[perS('kvoyant_metric_exports_total', 'fate'), '{{fate}}']],
      },
    ],
  ],
];

/** Every query of the dashboard. */
export const dashboardQueries: readonly string[] = rows.flatMap(([, panels]) =>
  panels.flatMap(({ queries }) => queries.map(([query]) => query)),
);

const width = 24;
const datasource = { type: 'prometheus', uid: '$datasource' };

/** The dashboard in Grafana's JSON model (schemaVersion 39: Grafana 10.4 and newer). */
export function dashboard(): object {
  const panels: object[] = [];
  let y = 0;
  for (const [title, rowPanels] of rows) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title,
      collapsed: false,
      gridPos: { x: 0, y, w: width, h: 1 },
      panels: [],
    });
    y += 1;
    const perLine = rowPanels[0]!.kind === 'stat' ? 4 : 2;
    const height = rowPanels[0]!.kind === 'stat' ? 4 : 8;
    for (const [at, panel] of rowPanels.entries()) {
      const w = width / perLine;
      const gridPos = { x: (at % perLine) * w, y: y + Math.floor(at / perLine) * height, w, h: height };
      panels.push({ id: panels.length + 1, gridPos, ...panelOf(panel) });
    }
    y += Math.ceil(rowPanels.length / perLine) * height;
  }
  return {
    uid: 'kvoyant',
    title: 'kvoyant',
    description: 'An LLM inference router: what clients see, the load of the workers, and whether its view is right.',
    tags: ['kvoyant', 'llm'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '10s',
    time: { from: 'now-1h', to: 'now' },
    timezone: 'browser',
    templating: { list: variables() },
    annotations: { list: [] },
    panels,
  };
}

function panelOf({ title, about, unit, kind = 'timeseries', queries }: Panel): object {
  const targets = queries.map(([expr, legendFormat], at) => ({
    refId: String.fromCharCode(65 + at),
    datasource,
    expr,
    ...(kind === 'table' ? { format: 'table', instant: true } : { legendFormat, range: true }),
  }));
  const shared = { title, description: about, datasource, targets };
  if (kind === 'table') return { ...shared, type: 'table', transformations: [{ id: 'merge', options: {} }] };
  const defaults = { unit, min: 0 };
  if (kind === 'stat') {
    return {
      ...shared,
      type: 'stat',
      fieldConfig: { defaults, overrides: [] },
      options: { reduceOptions: { calcs: ['lastNotNull'] }, colorMode: 'none', graphMode: 'area' },
    };
  }
  const stacked = kind === 'stacked';
  const custom = { lineWidth: 1, fillOpacity: stacked ? 30 : 0, stacking: { mode: stacked ? 'normal' : 'none' } };
  return {
    ...shared,
    type: 'timeseries',
    fieldConfig: { defaults: { ...defaults, custom }, overrides: [] },
    options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
  };
}

function variables(): object[] {
  const choice = (name: string, label: string, query: string): object => ({
    name,
    label,
    type: 'query',
    datasource,
    query: { query, refId: name },
    definition: query,
    refresh: 2,
    includeAll: true,
    multi: true,
    current: { text: 'All', value: '$__all' },
  });
  return [
    { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus' },
    choice('job', 'Job', 'label_values(kvoyant_client_connections, job)'),
    choice('instance', 'Gateway', 'label_values(kvoyant_client_connections{job=~"$job"}, instance)'),
    choice('worker', 'Worker', 'label_values(kvoyant_active_blocks{job=~"$job"}, worker)'),
  ];
}

// Metrics of single workers and engines: their KV events, the account of their prompts, how far they are trusted.

import type { Registry } from 'prom-client';
import type { Engine, Worker } from '../engines/engine.ts';
import { tokenFates } from '../engines/prompt-account.ts';
import { registerRead, type Sample } from './read-metric.ts';

export function registerWorkers(registry: Registry, engines: readonly Engine[]): void {
  registerFeeds(registry, engines);
  registerAccounts(registry, engines);
  registerTrust(registry, engines);
  registerFindings(registry, engines);
  registerEngines(registry, engines);
}

const feedCounts = [
  ['batch', 'batches'],
  ['lost-batch', 'lostBatches'],
  ['gap', 'gaps'],
  ['restart', 'restarts'],
  ['replayed-batch', 'replayedBatches'],
  ['failed-replay', 'failedReplays'],
  ['resync', 'resyncs'],
  ['duplicate-batch', 'duplicates'],
  ['malformed', 'malformed'],
  ['overflow', 'overflows'],
  ['stall', 'stalls'],
  ['failure', 'failures'],
] as const;
const eventCounts = [
  ['skipped-event', 'skippedEvents'],
  ['applied-block', 'appliedBlocks'],
  ['orphan-block', 'orphanBlocks'],
  ['unknown-block', 'unknownBlocks'],
] as const;

function registerFeeds(registry: Registry, engines: readonly Engine[]): void {
  workerCounter(registry, engines, {
    name: 'kvoyant_kv_events_total',
    help: 'KV events and batches of each worker, by kind.',
    label: 'kind',
    read: ({ feed, events }) => {
      // Made at each access.
      const status = feed?.status;
      return [
        ...feedCounts.map(([kind, name]) => [kind, status?.[name] ?? 0] as const),
        ...eventCounts.map(([kind, name]) => [kind, events[name]] as const),
      ];
    },
  });
}

function registerAccounts(registry: Registry, engines: readonly Engine[]): void {
  workerCounter(registry, engines, {
    name: 'kvoyant_prompt_tokens_by_fate_total',
    help: 'Prompt tokens of compared requests: cached, or missed and why (operations.md).',
    label: 'fate',
    read: ({ account }) => tokenFates.map((fate) => [kebabFate(fate), account.tokens[fate]]),
  });
  workerCounter(registry, engines, {
    name: 'kvoyant_overlap_checks_total',
    help: 'Compared requests: prediction of cached tokens exact, over or under.',
    label: 'result',
    read: ({ account }) => Object.entries(account.checks),
  });
  workerCounter(registry, engines, {
    name: 'kvoyant_prompt_token_mismatches_total',
    help: 'Prompts whose token count differs between engine and gateway.',
    label: null,
    read: ({ account }) => [['', account.tokenMismatches]],
  });
}

/** workloadMissTokens -> workload-miss */
function kebabFate(fate: string): string {
  return fate.replace(/Tokens$/, '').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

interface WorkerCounterOptions {
  readonly name: string;
  readonly help: string;
  /** Distinguishes the values of one worker; null if there is only one. */
  readonly label: string | null;
  read(worker: Worker): readonly (readonly [labelValue: string, value: number])[];
}

/** A counter whose values are kept by the workers and disappear with them. */
function workerCounter(registry: Registry, engines: readonly Engine[], options: WorkerCounterOptions): void {
  const { name, help, label, read } = options;
  registerRead(registry, {
    ...{ name, help, type: 'counter', labelNames: label === null ? ['worker'] : ['worker', label] },
    *read(): Generator<Sample> {
      for (const worker of workersOf(engines)) {
        for (const [labelValue, value] of read(worker)) {
          yield { labels: label === null ? { worker: worker.id } : { worker: worker.id, [label]: labelValue }, value };
        }
      }
    },
  });
}

function* workersOf(engines: readonly Engine[]): Generator<Worker> {
  for (const { workers } of engines) yield* workers;
}

function registerTrust(registry: Registry, engines: readonly Engine[]): void {
  registerRead(registry, {
    name: 'kvoyant_worker_trust',
    help: 'Always 1; the labels say how far the known blocks of a worker are trusted, and why.',
    type: 'gauge',
    labelNames: ['worker', 'kind', 'reason'],
    *read(): Generator<Sample> {
      for (const worker of workersOf(engines)) {
        const { kind, reason } = worker.trust(performance.now());
        yield { labels: { worker: worker.id, kind, reason: reason ?? '' }, value: 1 };
      }
    },
  });
}

function registerFindings(registry: Registry, engines: readonly Engine[]): void {
  registerRead(registry, {
    name: 'kvoyant_worker_findings',
    help: '1 while a worker has a problem with tokens, cache or KV events, by cause.',
    type: 'gauge',
    labelNames: ['worker', 'cause'],
    *read(): Generator<Sample> {
      for (const worker of workersOf(engines)) {
        for (const cause of causesOf(worker)) yield { labels: { worker: worker.id, cause }, value: 1 };
      }
    },
  });
}

/** Traffic and canary may find the same. */
function causesOf({ canary, account }: Worker): ReadonlySet<string> {
  const ofCanary = canary === null || canary.state === 'inconclusive' ? [] : canary.findings;
  return new Set([...account.findings.current, ...ofCanary].map(({ cause }) => cause));
}

function registerEngines(registry: Registry, engines: readonly Engine[]): void {
  registerRead(registry, {
    name: 'kvoyant_engine_ready',
    help: '1 while the engine takes requests, else 0.',
    type: 'gauge',
    labelNames: ['engine'],
    *read(): Generator<Sample> {
      for (const { url, isInUse } of engines) yield { labels: { engine: url }, value: isInUse ? 1 : 0 };
    },
  });
}

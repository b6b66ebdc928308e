// Examines engines from outside: a gateway of its own joins them, sends each a canary, and looks further where one fails.

import type { GatewayOptions } from '../config/config.ts';
import type { FeedSource } from '../engines/announced-feeds.ts';
import type { FeedStatus } from '../feeds/feed-status.ts';
import { startGateway } from '../gateway.ts';
import type { CanaryReport, Finding, Proof } from './diagnosis.ts';
import { hasPublisher, topicsHeard } from './feed-listening.ts';

const pollMs = 50;

export interface WorkerExam {
  /** Its id, or the address of its engine where that has not joined. */
  readonly worker: string;
  /** Nothing is wrong with it. */
  readonly sound: boolean;
  readonly proof: readonly Proof[];
  readonly findings: readonly Finding[];
}

/** What `GET /workers` says of each, as far as it matters here. */
interface WorkerEntry {
  readonly id: string | null;
  readonly url: string;
  readonly state: string;
  readonly reason: string | null;
  readonly canary?: CanaryReport | null;
  readonly eventsOffered?: FeedSource | null;
  readonly feed?: FeedStatus | null;
}

/**
 * @param options as for a gateway; only what concerns workers and tokens is used
 * @param timeoutMs until an engine that has not answered counts as unreachable
 * @throws ConfigError, TokenizerError
 */
export async function examineWorkers(options: GatewayOptions, timeoutMs: number): Promise<WorkerExam[]> {
  const exams: WorkerExam[] = [];
  for (const entry of await canariesOf(options, timeoutMs)) {
    const exam = examOf(entry);
    const findings: Finding[] = [];
    for (const finding of exam.findings)
      findings.push((await closerLook(finding, entry, options, timeoutMs)) ?? finding);
    exams.push({ ...exam, findings });
  }
  return exams;
}

/** All workers of a gateway once every canary is back, or the time is over. */
async function canariesOf(options: GatewayOptions, timeoutMs: number): Promise<WorkerEntry[]> {
  const gateway = await startGateway({
    ...options,
    // What is seen shall be told of, not refused, and nobody else is to use this gateway.
    trustTokenizer: true,
    canary: true,
    logLevel: 'silent',
    host: '127.0.0.1',
    port: 0,
    apiKeys: [],
    apiKeysFile: null,
    adminHost: '127.0.0.1',
    adminPort: 0,
    adminKey: null,
    viewKey: null,
    tlsCertFile: null,
    tlsKeyFile: null,
    record: null,
    shutdownNoticeMs: 0,
    shutdownGraceMs: 0,
  });
  try {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const answer = await fetch(`${gateway.adminUrl}/workers`);
      const { workers } = (await answer.json()) as { workers: WorkerEntry[] };
      if (workers.every(isSettled) || performance.now() > deadlineMs) return workers;
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  } finally {
    await gateway.close();
  }
}

function isSettled({ state, canary }: WorkerEntry): boolean {
  return state === 'refused' || (canary !== null && canary !== undefined);
}

function examOf({ id, url, state, reason, canary }: WorkerEntry): WorkerExam {
  const faulty = (cause: 'unreachable' | 'unfit', message: string): WorkerExam => ({
    worker: id ?? url,
    sound: false,
    proof: [],
    findings: [{ cause, message }],
  });
  if (state === 'refused') return faulty('unfit', reason ?? 'it can not be used');
  if (canary === null || canary === undefined) return faulty('unreachable', reason ?? 'it does not answer in time');
  if (canary.state === 'inconclusive') return faulty('unreachable', `it did not complete a prompt: ${canary.reason}`);
  return { worker: id ?? url, sound: canary.findings.length === 0, proof: canary.proofs, findings: canary.findings };
}

/** @returns a finding that says more, or null */
async function closerLook(
  { cause }: Finding,
  { eventsOffered, feed, url }: WorkerEntry,
  options: GatewayOptions,
  timeoutMs: number,
): Promise<Finding | null> {
  if (eventsOffered === null || eventsOffered === undefined || feed === null || feed === undefined) return null;
  const { mode, endpoint, topic } = eventsOffered;
  // Of two ends that open one port, the second can't hear what the first does.
  if (cause === 'events-silent' && topic !== '' && mode === 'connect') {
    const topics = await topicsHeard({ mode, endpoint }, () => canariesOf(options, timeoutMs));
    if (topics.length === 0) return null;
    const heard = topics.map((one) => JSON.stringify(one)).join(', ');
    return {
      cause: 'topic-filter',
      message: `only the topic ${JSON.stringify(topic)} is listened to at ${endpoint}, and its events have the topic ${heard}`,
    };
  }
  const port = /^tcp:.*:(\d+)$/.exec(endpoint)?.[1];
  if (cause !== 'wrong-endpoint' || feed.error !== null || port === undefined) return null;
  if (mode === 'connect') {
    if (!(await hasPublisher({ mode: 'bind', endpoint: `tcp://*:${port}` }))) return null;
    const message = `the engine connects to port ${port} itself, as a subscriber to us: write kv-events=bind:tcp://*:${port}`;
    return { cause: 'connect-not-bind', message };
  }
  const bound = `tcp://${new URL(url).hostname}:${port}`;
  if (!(await hasPublisher({ mode: 'connect', endpoint: bound }))) return null;
  return { cause: 'bind-not-connect', message: `the engine opens port ${port} itself: write kv-events=${bound}` };
}

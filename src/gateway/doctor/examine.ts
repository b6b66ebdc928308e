// Examines engines from outside: a temporary gateway joins them, sends each a canary, and looks closer at failures.

import { type GatewayOptions, resolveConfig } from '../config/config.ts';
import type { Finding, Proof } from '../engines/canary-report.ts';
import { addressInUse } from '../feeds/bound-endpoint.ts';
import { hasPublisher, topicsHeard } from './feed-listening.ts';
import { neighbourPorts } from './neighbour-ports.ts';
import { type WorkerEntry, workersOf } from './temporary-gateway.ts';

export interface WorkerExam {
  /** Its id, or its engine's address if that has not joined. */
  readonly worker: string;
  /** No fault was found. */
  readonly sound: boolean;
  readonly proof: readonly Proof[];
  readonly findings: readonly Finding[];
  /** Not faults, but possibly surprising. */
  readonly notes: readonly string[];
}

/** Result of an examination beyond the canary. */
type CloserLook =
  | { readonly kind: 'finding'; readonly finding: Finding }
  | { readonly kind: 'note'; readonly note: string };

/**
 * @param options as for a gateway; only those about workers and tokens are used
 * @param timeoutMs time after which a silent engine counts as unreachable; one that refuses connections does at once
 * @throws ConfigError, TokenizerError
 */
export async function examineWorkers(options: GatewayOptions, timeoutMs: number): Promise<WorkerExam[]> {
  const exams: WorkerExam[] = [];
  const entries = await canariesOf(options, timeoutMs);
  for (const entry of entries) {
    const exam = examOf(entry);
    const findings: Finding[] = [];
    const notes = await notesOn(entry, entries, options);
    for (const finding of exam.findings) {
      const seen = await closerLook(finding, entry, options, timeoutMs);
      if (seen?.kind === 'note') notes.push(seen.note);
      else findings.push(seen?.finding ?? finding);
    }
    exams.push({ ...exam, sound: findings.length === 0, findings, notes });
  }
  return exams;
}

/** Notes that are not faults of the engine but may surprise. */
async function notesOn(
  { url, rank, models, canary, eventsOffered }: WorkerEntry,
  entries: readonly WorkerEntry[],
  options: GatewayOptions,
): Promise<string[]> {
  const notes: string[] = [];
  const [model] = models;
  const ranks = entries.filter((entry) => entry.url === url).length;
  if (rank !== undefined && ranks === 1 && model !== undefined) {
    const spec = resolveConfig(options).workers.find((worker) => worker.url === url) ?? { url };
    const others = await neighbourPorts(spec, model, new Set(entries.map((entry) => entry.url)));
    if (others.length > 0) {
      notes.push(
        `${others.join(', ')} also serves ${JSON.stringify(model)}: if the engine opens a port for each data-parallel rank, name each one as a worker; only this one is used now`,
      );
    }
  }
  const heard =
    canary !== null && canary !== undefined && canary.state !== 'inconclusive' && canary.proofs.includes('events');
  if (heard && eventsOffered !== null && eventsOffered !== undefined && eventsOffered.replayEndpoint === null) {
    notes.push(
      "its KV events can't be replayed: a gateway started after this examination reports late-join until enough of its blocks are announced again",
    );
  }
  return notes;
}

/** All workers once every canary has ended, or when the time is over. */
async function canariesOf(options: GatewayOptions, timeoutMs: number): Promise<WorkerEntry[]> {
  // Faults are to be reported instead of refused.
  return workersOf(
    { ...options, trustTokenizer: true, canary: true },
    (workers) => workers.every(isSettled),
    timeoutMs,
  );
}

/** A slow engine may still join; one that is unreachable or not an engine will not. */
function isSettled({ state, reason, canary }: WorkerEntry): boolean {
  if (state === 'refused' || (canary !== null && canary !== undefined)) return true;
  return state === 'joining' && reason !== null && !/ no answer within /.test(reason);
}

function examOf({ id, url, state, reason, canary }: WorkerEntry): WorkerExam {
  const faulty = (cause: 'unreachable' | 'unfit', message: string): WorkerExam => ({
    worker: id ?? url,
    sound: false,
    proof: [],
    findings: [{ cause, message }],
    notes: [],
  });
  if (state === 'refused') return faulty('unfit', reason ?? "it can't be used");
  if (canary === null || canary === undefined) return faulty('unreachable', reason ?? 'it does not answer in time');
  if (canary.state === 'inconclusive') return faulty('unreachable', `it did not complete a prompt: ${canary.reason}`);
  return {
    worker: id ?? url,
    sound: canary.findings.length === 0,
    proof: canary.proofs,
    findings: canary.findings,
    notes: [],
  };
}

/** Null: nothing to add. */
async function closerLook(
  { cause }: Finding,
  { eventsOffered, feed, url }: WorkerEntry,
  options: GatewayOptions,
  timeoutMs: number,
): Promise<CloserLook | null> {
  if (eventsOffered === null || eventsOffered === undefined || feed === null || feed === undefined) return null;
  const { mode, endpoint, topic } = eventsOffered;
  // If both ends bound the port, the second could not receive what the first does.
  if (cause === 'no-batches' && topic !== '' && mode === 'connect') {
    const topics = await topicsHeard({ mode, endpoint }, () => canariesOf(options, timeoutMs));
    if (topics.length === 0) return null;
    const heard = topics.map((one) => JSON.stringify(one)).join(', ');
    const message = `only the topic ${JSON.stringify(topic)} is subscribed to at ${endpoint}, but its events have the topic ${heard}`;
    return found('topic-filter', message);
  }
  const port = /^tcp:.*:(\d+)$/.exec(endpoint)?.[1];
  if (cause !== 'wrong-endpoint' || port === undefined) return null;
  const inUse = feed.error === addressInUse;
  if (feed.error !== null && !inUse) return null;
  if (mode === 'connect') {
    if (!(await hasPublisher({ mode: 'bind', endpoint: `tcp://*:${port}` }))) return null;
    const message = `the engine connects to port ${port} itself, instead of binding it: write kv-events=bind:tcp://*:${port}`;
    return found('connect-not-bind', message);
  }
  const bound = `tcp://${new URL(url).hostname}:${port}`;
  if (await hasPublisher({ mode: 'connect', endpoint: bound })) {
    return found('bind-not-connect', `the engine opens port ${port} itself: write kv-events=${bound}`);
  }
  if (!inUse) return null;
  const note = `its KV events are not examined: port ${port} is already open on this machine, perhaps by a running gateway, whose GET /workers reports them`;
  return { kind: 'note', note };
}

function found(cause: Finding['cause'], message: string): CloserLook {
  return { kind: 'finding', finding: { cause, message } };
}

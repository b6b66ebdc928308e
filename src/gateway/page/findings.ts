// What is wrong with a worker, in plain words, and what to do about it.

import type { Engine, Worker } from '../engines/engine.ts';
import type { WorkerTrust } from '../feeds/worker-trust.ts';
import type { Finding } from './fleet-data.ts';

/** By the cause of a canary's or the traffic's finding; null: the message says it. */
const adviceOf: Readonly<Record<string, string>> = {
  'prefix-caching-off': 'Restart the engine with prefix caching on (vLLM: --enable-prefix-caching).',
  'events-off':
    'Restart the engine with KV events on: vLLM --kv-events-config \'{"enable_kv_cache_events":true,"publisher":"zmq"}\'. Until then the router assumes its own decisions.',
  'null-publisher': 'Set "publisher":"zmq" in its --kv-events-config.',
  'wrong-endpoint': 'Give the right address with kv-events= in the description of the worker.',
  'topic-filter': 'Correct kv-topic= of the worker, or leave it out.',
  'no-batches': 'Check that the engine publishes to this address; kvoyant doctor shows what it hears there.',
  'foreign-events': 'Swap the addresses of the KV events (kv-events=) of these workers.',
  'events-unmatched': 'Check that the address belongs to this engine, and that the tokenizer is the one of its model.',
  'attention-kind': 'Nothing to do: the router assumes its own decisions for this model.',
  'block-size': 'Remove the setting blockSize, or set a multiple of the block size of the engine.',
  tokenizer: "Set tokenizer to the tokenizer.json of the engine's model, or to engine.",
  'chat-template':
    'Put the chat template that the engine was started with beside tokenizer.json, or set tokenizer to engine.',
  'double-bos': 'Start the engine without the additional beginning-of-sequence token, or correct its template.',
  unreachable: 'Check the address, the network and whether the engine runs.',
  'token-count': "Set tokenizer to the tokenizer.json of the engine's model, or to engine.",
  'cache-prediction': 'Run the doctor for this worker: it sends the same prompt twice and says which part is wrong.',
};

const trustAdvice: Readonly<Record<string, string>> = {
  'no-connection': 'Check the address of its KV events and the network between.',
  endpoint: 'Free the port, or choose another address for kv-events=bind:.',
  'shared-endpoint': 'Give each publisher an address of its own.',
  'late-join': 'Nothing to do: it heals as blocks are announced again. A replay address (kv-replay=) avoids it.',
  'lost-batches': 'Nothing to do: it heals as blocks are announced again. A replay address (kv-replay=) avoids it.',
  orphans: 'If it stays, restart the engine: its events refer to blocks that it never announced.',
  overfull: 'Correct blocks= of the worker: the engine holds more blocks than it says.',
  'no-batches': adviceOf['no-batches']!,
  unmatched: adviceOf['events-unmatched']!,
  'block-size': adviceOf['block-size']!,
  'dead-feed': 'Check the address of its KV events and the network between.',
  'feed-fault': 'Check the address of its KV events.',
  'no-tokenizer': "Set tokenizer to the tokenizer.json of the engine's model, or to engine.",
};

/** Of the worker's canary, its traffic and its feed. */
export function findingsOfWorker(worker: Worker, trust: WorkerTrust): Finding[] {
  const { id, canary, account } = worker;
  const findings: Finding[] = [];
  if (canary !== null && canary.state !== 'inconclusive') {
    for (const { cause, message } of canary.findings) {
      const severity = canary.state === 'faulty' ? 'bad' : 'warning';
      findings.push({
        worker: id,
        cause,
        severity,
        message: `${id}: ${message}`,
        advice: advice(cause),
        source: 'canary',
      });
    }
  }
  for (const { cause, message } of account.findings.current) {
    const line = `${id}: ${message}`;
    findings.push({ worker: id, cause, severity: 'warning', message: line, advice: advice(cause), source: 'traffic' });
  }
  if (trust.kind === 'degraded' || (trust.kind === 'approximate' && trust.reason !== 'no-events')) {
    const severity = trust.kind === 'degraded' ? 'warning' : 'info';
    const message = `${id}: ${trust.detail}`;
    const what = { worker: id, cause: trust.reason, severity, message } as const;
    findings.push({ ...what, advice: trustAdvice[trust.reason] ?? null, source: 'feed' });
  }
  return findings;
}

/** Of the engine's health; stands for all of its workers. */
export function findingsOfEngine({ url, state, reason }: Engine): Finding[] {
  if (state === 'ready' || (state === 'joining' && reason === null)) return [];
  const severity = state === 'joining' || state === 'stalled' || state === 'suspect' ? 'warning' : 'bad';
  const message = `${url} is ${state}${reason === null ? '' : `: ${reason}`}`;
  const what = { worker: url, cause: state === 'joining' ? 'unreachable' : state, severity, message } as const;
  return [{ ...what, advice: state === 'refused' ? null : adviceOf['unreachable']!, source: 'health' }];
}

const order = { bad: 0, warning: 1, info: 2 } as const;

/** The worst first. */
export function bySeverity(findings: readonly Finding[]): Finding[] {
  return [...findings].sort((a, b) => order[a.severity] - order[b.severity]);
}

export function advice(cause: string): string | null {
  return adviceOf[cause] ?? null;
}

// Diagnoses a worker's faults and their remedies, from its engine's statements and a canary's evidence.

import type { Circumstances, Diagnosis, Finding, Proof } from '../engines/canary-report.ts';
import type { Parity } from '../engines/tokenizer-verdict.ts';
import type { ToldOfCache } from '../engines/worker-traits.ts';
import type { FeedStatus } from '../feeds/feed-status.ts';

/** Evidence from two equal requests. */
export interface CanaryEvidence {
  readonly promptTokens: number;
  /** As the engine counts them; null: not reported. */
  readonly countedTokens: number | null;
  /** Tokens that the second request should find in the cache. */
  readonly cacheableTokens: number;
  /** Tokens that it did find, by the answer; null: not reported. */
  readonly reportedTokens: number | null;
  /** Increase of the engine's hit counter meanwhile; null: it has none. */
  readonly counterTokens: number | null;
  /** Null: KV events are not used. */
  readonly events: EventEvidence | null;
}

export interface EventEvidence {
  readonly feed: FeedStatus;
  /** Batches received between the first request and the end of the wait. */
  readonly batches: number;
  readonly blocks: number;
  /** Part of `blocks` that this worker's events announced. */
  readonly announcedBlocks: number;
  /** Other workers whose events announced them. */
  readonly elsewhere: readonly string[];
  /** Events of other attention kinds, which show no whole prefix. */
  readonly partialEvents: number;
  /** The LoRA adapter, salt or media in the events that the prompt did not have; null: none. */
  readonly namespace: string | null;
}

/** Causes that explain others come first and suppress those. @param evidence null: no canary was sent */
export function diagnose(evidence: CanaryEvidence | null, circumstances: Circumstances): Diagnosis {
  const { traits, told, offered, tokenizer } = circumstances;
  const findings: Finding[] = [];
  const proofs: Proof[] = [];
  const note = (finding: Finding | null): boolean => {
    if (finding !== null) findings.push(finding);
    return finding !== null;
  };
  const otherTokens = note(tokensFinding(evidence, tokenizer.text));
  if (evidence !== null && !otherTokens && evidence.countedTokens !== null) proofs.push('token-count');
  note(chatFinding(tokenizer.chat));
  const otherBlocks = note(blockSizeFinding(traits, told));
  const notCached = note(cachingFinding(evidence, traits, told, otherTokens || otherBlocks));
  if (evidence !== null && !notCached && !otherBlocks) {
    if (evidence.reportedTokens !== null) proofs.push('usage');
    else if (evidence.counterTokens !== null) proofs.push('counters');
  }
  // Without a prefix cache there are no events to check.
  if (notCached && findings.at(-1)!.cause === 'prefix-caching-off') return { proofs, findings };
  const events = evidence?.events ?? null;
  if (events !== null && events.announcedBlocks >= events.blocks) {
    proofs.push('events');
    return { proofs, findings };
  }
  const notOffered = note(offerFinding(told, offered));
  if (events !== null && !notOffered) note(feedFinding(events, told, otherTokens || otherBlocks));
  return { proofs, findings };
}

function tokensFinding(evidence: CanaryEvidence | null, parity: Parity): Finding | null {
  if (parity === 'double-bos') return doubleBos('texts');
  if (parity === 'differs') {
    return {
      cause: 'tokenizer',
      message: 'its /tokenize returns other ids for a text than our tokenizer: use the tokenizer of its model',
    };
  }
  if (evidence === null || evidence.countedTokens === null || evidence.countedTokens === evidence.promptTokens)
    return null;
  const { countedTokens, promptTokens } = evidence;
  return {
    cause: 'tokenizer',
    message: `it counted ${countedTokens} tokens in a prompt where we count ${promptTokens}: use the tokenizer of its model`,
  };
}

function chatFinding(parity: Parity): Finding | null {
  if (parity === 'double-bos') return doubleBos('chats');
  if (parity !== 'differs') return null;
  const message =
    'its chat template gives other ids for messages than ours: use the template that the engine was started with';
  return { cause: 'chat-template', message };
}

function doubleBos(what: string): Finding {
  return {
    cause: 'double-bos',
    message: `the engine or the gateway begins ${what} with two beginning-of-sequence tokens: both template and tokenizer add one`,
  };
}

function blockSizeFinding({ blockSize, pageSizeUnfit }: Circumstances['traits'], told: ToldOfCache): Finding | null {
  const size = pageSizeUnfit ?? (told.blockSize !== null && blockSize % told.blockSize !== 0 ? told.blockSize : null);
  if (size === null) return null;
  return {
    cause: 'block-size',
    message: `its blocks have ${size} tokens, and the configured block size ${blockSize} is not a multiple: remove the setting`,
  };
}

/** @param explained another finding (tokens, block size) already explains why less is found than expected */
function cachingFinding(
  evidence: CanaryEvidence | null,
  { pageSize }: Circumstances['traits'],
  { prefixCaching }: ToldOfCache,
  explained: boolean,
): Finding | null {
  if (prefixCaching === false) {
    return { cause: 'prefix-caching-off', message: 'it says that prefix caching is off: start it with prefix caching' };
  }
  if (evidence === null) return null;
  const { cacheableTokens, reportedTokens, counterTokens, promptTokens } = evidence;
  // The counter also counts what other requests find.
  const found = reportedTokens ?? (counterTokens === null ? null : Math.min(counterTokens, cacheableTokens));
  if (found === null || found === cacheableTokens) return null;
  if (found > 0) {
    if (explained) return null;
    return {
      cause: 'block-size',
      message: `it found ${found} of ${promptTokens} tokens in its cache, where ${cacheableTokens} are expected with blocks of ${pageSize}: its block size differs`,
    };
  }
  const message = `it computed the same ${promptTokens} tokens twice: prefix caching is off, or its cache is too small to keep them`;
  return { cause: 'prefix-caching-off', message };
}

function offerFinding({ events }: ToldOfCache, offered: boolean): Finding | null {
  switch (events.kind) {
    case 'source':
      return null;
    case 'unknown': {
      const message =
        'it does not announce where it publishes KV events: enable them and name the address with kv-events=tcp://HOST:PORT';
      return offered ? null : { cause: 'events-off', message };
    }
    case 'off':
      return { cause: 'events-off', message: 'it publishes no KV events: enable them (vLLM: kv-events-config)' };
    case 'other-publisher': {
      const name = JSON.stringify(events.publisher);
      return { cause: 'null-publisher', message: `its KV events have the publisher ${name}: start it with "zmq"` };
    }
  }
}

/** @param explained another finding already explains why blocks don't match */
function feedFinding(events: EventEvidence, told: ToldOfCache, explained: boolean): Finding | null {
  const { feed, batches, announcedBlocks, partialEvents, elsewhere, namespace } = events;
  const { endpoint, mode, topic } = feed;
  if (feed.error !== null) {
    return {
      cause: 'wrong-endpoint',
      message: `our end of its KV events, ${endpoint}, can't be opened: ${feed.error}`,
    };
  }
  if (feed.publishers === 0) {
    const message =
      mode === 'bind'
        ? `no publisher connects to ${endpoint}: the engine publishes elsewhere, or not at all`
        : `nothing publishes at ${endpoint}: ${whereElse(endpoint, told)}`;
    return { cause: 'wrong-endpoint', message };
  }
  if (partialEvents > 0 && announcedBlocks === 0) {
    const message =
      "its KV events cover only sliding windows or states, from which no prefix can be read: a property of its model; its blocks are assumed from the gateway's own decisions";
    return { cause: 'attention-kind', message };
  }
  if (elsewhere.length > 0) {
    const message = `its blocks are announced by the events of ${elsewhere.join(', ')}: the addresses of their events are mixed up`;
    return { cause: 'foreign-events', message };
  }
  if (namespace !== null) {
    const message = `its events announce the prompt's blocks with ${namespace}, which the request did not have`;
    return { cause: 'lora-or-salt', message };
  }
  if (explained) return null;
  if (batches === 0) {
    const filter = topic === '' ? '' : `, of topic ${JSON.stringify(topic)}`;
    return {
      cause: 'no-batches',
      message: `${endpoint} is connected, but no batch${filter} arrived for a prompt that was computed`,
    };
  }
  const message = `batches arrived from ${endpoint}, but none with the blocks of the prompt: another engine's events, or other tokens`;
  return { cause: 'events-unmatched', message };
}

function whereElse(endpoint: string, { events }: ToldOfCache): string {
  if (events.kind !== 'source' || events.source.endpoint === endpoint) {
    return "the port is wrong, or the engine's publisher is off";
  }
  const { mode, endpoint: announced } = events.source;
  return mode === 'connect'
    ? `the engine says that it is at ${announced}`
    : `the engine connects to ${announced} itself`;
}

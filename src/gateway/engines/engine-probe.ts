// What an engine says about itself over HTTP: models, cache, KV event sources, token ids, health.

import type { EngineAnswer, QuestionPath } from '../../tokens/engine-questions.ts';
import { readBodyUsage, type Usage } from '../../wire/completion-chunk.ts';
import { announcedEndpoint, type FeedAddress, reachable } from '../feeds/feed-address.ts';
import type { Upstream } from './upstream.ts';

const answerMsMax = 5000;
const answerBytesMax = 16 * 1024 * 1024;

export interface ModelEntry {
  readonly id: string;
  /** Of a LoRA adapter: the model it adapts. */
  readonly parent: string | null;
  readonly description: ModelDescription;
}

/** A model as an engine describes it; it may have further fields. */
export interface ModelDescription {
  readonly id: string;
  readonly parent?: unknown;
  readonly max_model_len?: unknown;
}

export interface CacheConfig {
  /** Data-parallel rank. */
  readonly rank: number;
  readonly blockSize: number | null;
  readonly capacityBlocks: number | null;
  readonly prefixCaching: boolean | null;
}

export interface FeedSource extends FeedAddress {
  readonly rank: number;
}

/**
 * What an engine says about the KV events of one rank. `off`: it publishes none. `other-publisher`: it does, but to
 * nobody (`null`), or in a way that is not ours.
 */
export type FeedAnnouncement =
  | { readonly kind: 'source'; readonly rank: number; readonly source: FeedSource }
  | { readonly kind: 'off'; readonly rank: number }
  | { readonly kind: 'other-publisher'; readonly rank: number; readonly publisher: string };

/** What an engine makes token ids of. */
export type TokenizeInput = { readonly prompt: string } | { readonly messages: readonly object[] };

/** One entry of `/kv_event_sources`. */
interface AnnouncedSource {
  readonly enable_kv_cache_events?: unknown;
  readonly publisher?: unknown;
  readonly endpoint?: unknown;
  readonly replay_endpoint?: unknown;
  readonly topic?: unknown;
}

/** An engine did not answer as hoped; `status` 0: not at all. */
export class ProbeError extends Error {
  readonly status: number;
  /** Nothing listens at the address: the process is gone. */
  readonly refused: boolean;

  constructor(message: string, status: number, refused: boolean) {
    super(message);
    this.name = 'ProbeError';
    this.status = status;
    this.refused = refused;
  }
}

/** All methods throw ProbeError if the engine does not answer, or with a status that is not 2xx. */
export class EngineProbe {
  readonly #upstream: Upstream;
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(url: string, upstream: Upstream, apiKey: string | undefined) {
    this.#upstream = upstream;
    this.#url = new URL(url);
    this.#headers = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  }

  async health(): Promise<void> {
    await this.#fetch('GET', '/health');
  }

  /** In the engine's order. */
  async models(): Promise<ModelEntry[]> {
    const answer = parseJson(await this.#fetch('GET', '/v1/models')) as { data?: unknown } | null;
    const data = answer?.data;
    if (!Array.isArray(data)) throw new ProbeError('/v1/models lists no data', 200, false);
    return data.filter(isModel).map((model) => ({
      id: model.id,
      parent: typeof model.parent === 'string' ? model.parent : null,
      description: model,
    }));
  }

  /** From the metrics; empty if they say nothing. */
  async cacheConfigs(): Promise<CacheConfig[]> {
    return readCacheConfigs(await this.#fetch('GET', '/metrics'));
  }

  /** By rank; empty where it publishes nothing at all. */
  async feedAnnouncements(): Promise<FeedAnnouncement[]> {
    const answer = parseJson(await this.#fetch('GET', '/kv_event_sources'));
    if (typeof answer !== 'object' || answer === null) return [];
    const announcements: FeedAnnouncement[] = [];
    for (const [rank, source] of Object.entries(answer as Record<string, AnnouncedSource | null>)) {
      if (/^\d+$/.test(rank)) announcements.push(this.#announcement(Number(rank), source ?? {}));
    }
    return announcements;
  }

  #announcement(rank: number, announced: AnnouncedSource): FeedAnnouncement {
    const { enable_kv_cache_events: enabled, publisher, endpoint, replay_endpoint: replay, topic } = announced;
    if (enabled === false) return { kind: 'off', rank };
    if ((publisher ?? 'zmq') !== 'zmq') return { kind: 'other-publisher', rank, publisher: String(publisher) };
    if (typeof endpoint !== 'string') return { kind: 'off', rank };
    const { hostname } = this.#url;
    const source = {
      rank,
      ...announcedEndpoint(endpoint, hostname),
      replayEndpoint: typeof replay === 'string' ? reachable(replay, hostname) : null,
      topic: typeof topic === 'string' ? topic : '',
    };
    return { kind: 'source', rank, source };
  }

  /** Prompt tokens of one rank found in its cache so far, from the metrics; null: they do not say. */
  async prefixCacheHits(rank: number): Promise<number | null> {
    return readPrefixCacheHits(await this.#fetch('GET', '/metrics'), rank);
  }

  /**
   * One completion in one piece. @param rank for engines with several; null: whichever
   * @returns null if the answer has no usage
   */
  async complete(body: object, rank: number | null, timeoutMs: number): Promise<Usage | null> {
    const headers: Record<string, string> = rank === null ? {} : { 'x-data-parallel-rank': String(rank) };
    const text = await this.#fetch('POST', '/v1/completions', JSON.stringify(body), headers, timeoutMs);
    const usage = readBodyUsage(Buffer.from(text));
    return typeof usage === 'string' ? null : usage;
  }

  /** Token ids that the engine makes of a text or of chat messages. */
  async tokenize(input: TokenizeInput, model: string): Promise<number[]> {
    const body = { model, ...input, ...('messages' in input ? { add_generation_prompt: true } : {}) };
    const answer = parseJson(await this.#fetch('POST', '/tokenize', JSON.stringify(body))) as {
      tokens?: unknown;
    } | null;
    const tokens = answer?.tokens;
    if (!Array.isArray(tokens)) throw new ProbeError('/tokenize returns no tokens', 200, false);
    return tokens as number[];
  }

  /**
   * Puts a question, with JSON as its body; rejects if the answer does not come, is too large, or comes after the abort.
   * An answer that is no JSON counts as null.
   */
  async ask(path: QuestionPath, body: string, signal: AbortSignal, bytesMax: number): Promise<EngineAnswer> {
    const { status, text } = await this.#send('POST', path, body, {}, signal, bytesMax);
    return { status, body: jsonOrNull(text) };
  }

  async #fetch(
    method: 'GET' | 'POST',
    path: string,
    body: string | null = null,
    headers: Readonly<Record<string, string>> = {},
    timeoutMs: number = answerMsMax,
  ): Promise<string> {
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const { status, text } = await this.#send(method, path, body, headers, signal, answerBytesMax);
      if (status < 200 || status > 299) throw new ProbeError(`${path} answers with status ${status}`, status, false);
      return text;
    } catch (error) {
      if (error instanceof ProbeError) throw error;
      const { name, code, message } = error as Error & { code?: string };
      const reason = name === 'TimeoutError' ? `no answer within ${timeoutMs} ms` : message || code;
      throw new ProbeError(`${path}: ${reason}`, 0, code === 'ECONNREFUSED');
    }
  }

  /** @throws ProbeError if the answer is too large; what undici throws if there is none */
  async #send(
    method: 'GET' | 'POST',
    path: string,
    body: string | null,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
    bytesMax: number,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const response = await this.#upstream.dispatcher.request({
      origin: this.#url.origin,
      path: this.#upstream.path(path),
      method,
      headers: { ...this.#headers, ...headers, ...(body !== null && { 'content-type': 'application/json' }) },
      body,
      signal,
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bytesMax) throw new ProbeError(`${path} answers more than ${bytesMax} bytes`, 200, false);
      chunks.push(chunk);
    }
    return { status: response.statusCode, text: Buffer.concat(chunks, bytes).toString('utf8') };
  }
}

/**
 * Reads vLLM's `cache_config_info`. Its block count includes one block that never holds content.
 */
export function readCacheConfigs(metrics: string): CacheConfig[] {
  const configs: CacheConfig[] = [];
  for (const line of metrics.split('\n')) {
    const match = /^vllm:cache_config_info\{(.*)\}/.exec(line);
    if (match === null) continue;
    const labels = match[1]!;
    const blocks = integerLabel(labels, 'num_gpu_blocks');
    configs.push({
      rank: integerLabel(labels, 'engine') ?? 0,
      blockSize: integerLabel(labels, 'block_size'),
      capacityBlocks: blocks === null || blocks < 2 ? null : blocks - 1,
      prefixCaching: flagLabel(labels, 'enable_prefix_caching'),
    });
  }
  return configs;
}

/** vLLM's counter of hits, in tokens, of one rank. */
export function readPrefixCacheHits(metrics: string, rank: number): number | null {
  for (const line of metrics.split('\n')) {
    const match = /^vllm:prefix_cache_hits(?:_total)?\{(.*)\} (\S+)/.exec(line);
    if (match !== null && (integerLabel(match[1]!, 'engine') ?? 0) === rank) return Number(match[2]);
  }
  return null;
}

/** Written as Python does. */
function flagLabel(labels: string, name: string): boolean | null {
  const match = new RegExp(`(?:^|,)${name}="(True|False)"`).exec(labels);
  return match === null ? null : match[1] === 'True';
}

function integerLabel(labels: string, name: string): number | null {
  const match = new RegExp(`(?:^|,)${name}="(\\d+)"`).exec(labels);
  return match === null ? null : Number(match[1]);
}

function isModel(value: unknown): value is ModelDescription {
  return typeof value === 'object' && value !== null && typeof (value as { id?: unknown }).id === 'string';
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ProbeError('the answer is not JSON', 200, false);
  }
}

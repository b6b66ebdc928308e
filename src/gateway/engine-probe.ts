// What an engine says about itself over HTTP: models, cache, KV event sources, token ids, health.

import { announcedEndpoint, type FeedAddress, reachable } from './feed-address.ts';
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
}

export interface CacheConfig {
  /** Data-parallel rank. */
  readonly rank: number;
  readonly blockSize: number | null;
  readonly capacityBlocks: number | null;
}

export interface FeedSource extends FeedAddress {
  readonly rank: number;
}

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

  /** Publishers that this gateway can subscribe to. */
  async feedSources(): Promise<FeedSource[]> {
    const answer = parseJson(await this.#fetch('GET', '/kv_event_sources'));
    if (typeof answer !== 'object' || answer === null) return [];
    const sources: FeedSource[] = [];
    for (const [rank, source] of Object.entries(answer as Record<string, AnnouncedSource | null>)) {
      const { enable_kv_cache_events: enabled, publisher, endpoint, replay_endpoint: replay, topic } = source ?? {};
      if (enabled === false || (publisher ?? 'zmq') !== 'zmq' || typeof endpoint !== 'string') continue;
      if (!/^\d+$/.test(rank)) continue;
      sources.push({
        rank: Number(rank),
        ...announcedEndpoint(endpoint, this.#url.hostname),
        replayEndpoint: typeof replay === 'string' ? reachable(replay, this.#url.hostname) : null,
        topic: typeof topic === 'string' ? topic : '',
      });
    }
    return sources;
  }

  /** Token ids that the engine makes of a text or of chat messages. */
  async tokenize(input: { prompt: string } | { messages: readonly object[] }, model: string): Promise<number[]> {
    const body = { model, ...input, ...('messages' in input ? { add_generation_prompt: true } : {}) };
    const answer = parseJson(await this.#fetch('POST', '/tokenize', JSON.stringify(body))) as {
      tokens?: unknown;
    } | null;
    const tokens = answer?.tokens;
    if (!Array.isArray(tokens)) throw new ProbeError('/tokenize returns no tokens', 200, false);
    return tokens as number[];
  }

  async #fetch(method: 'GET' | 'POST', path: string, body: string | null = null): Promise<string> {
    try {
      const response = await this.#upstream.dispatcher.request({
        origin: this.#url.origin,
        path: this.#upstream.path(path),
        method,
        headers: body === null ? this.#headers : { ...this.#headers, 'content-type': 'application/json' },
        body,
        signal: AbortSignal.timeout(answerMsMax),
      });
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > answerBytesMax)
          throw new ProbeError(`${path} answers more than ${answerBytesMax} bytes`, 200, false);
        chunks.push(chunk);
      }
      const status = response.statusCode;
      if (status < 200 || status > 299) throw new ProbeError(`${path} answers with status ${status}`, status, false);
      return Buffer.concat(chunks, bytes).toString('utf8');
    } catch (error) {
      if (error instanceof ProbeError) throw error;
      const { name, code, message } = error as Error & { code?: string };
      const reason = name === 'TimeoutError' ? `no answer within ${answerMsMax} ms` : message || code;
      throw new ProbeError(`${path}: ${reason}`, 0, code === 'ECONNREFUSED');
    }
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
    });
  }
  return configs;
}

function integerLabel(labels: string, name: string): number | null {
  const match = new RegExp(`(?:^|,)${name}="(\\d+)"`).exec(labels);
  return match === null ? null : Number(match[1]);
}

function isModel(value: unknown): value is ModelDescription {
  return typeof value === 'object' && value !== null && typeof (value as { id?: unknown }).id === 'string';
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ProbeError('the answer is not JSON', 200, false);
  }
}

// HTTP questions to an engine about itself: models, cache, KV-event sources, token ids, health.

import { chatQuestion } from '../../tokens/chat-question.ts';
import type { ChatInput } from '../../tokens/tokenizer.ts';
import { readBodyUsage, type Usage } from '../../wire/completion-chunk.ts';
import { type FeedAnnouncement, readAnnouncements } from './announced-feeds.ts';
import {
  answeredTokensMax,
  answerShape,
  eventSourcesBytesMax,
  healthBytesMax,
  metricsBytesMax,
  modelsBytesMax,
  smallAnswerBytesMax,
} from './engine-limits.ts';
import {
  type CacheConfig,
  cacheMetrics,
  hitsMetrics,
  readCacheConfigs,
  readPrefixCacheHits,
} from './engine-metrics.ts';
import type { HealthAnswer } from './engine-pulse.ts';
import { EngineQuestion } from './engine-question.ts';
import { type JsonLimits, JsonShape } from './json-shape.ts';
import { type ModelEntry, readModels } from './listed-models.ts';
import { MetricsLines } from './metrics-lines.ts';
import { parseTurn, turnBytesMin } from './parse-turns.ts';
import { quoted, Remarks } from './remarks.ts';
import type { Upstream } from './upstream.ts';

/** From the request to the last byte of the answer. */
const answerMsMax = 5000;

/** Longer lists of models are read in a separate turn of the event loop. */
const modelsPerTurnMax = 64;

/** Allowance for special tokens of a template, and for strings in an answer to /tokenize. */
const tokensBeside = 4096;

/** Adapters may be loaded from disk or from a remote store. */
const adapterMsMax = 60_000;

export const adapterActions = ['load_lora_adapter', 'unload_lora_adapter'] as const;
export type AdapterAction = (typeof adapterActions)[number];

/** Input that an engine turns into token ids. */
export type TokenizeInput =
  | { readonly prompt: string }
  | { readonly messages: readonly object[] }
  | { readonly chat: ChatInput };

/** An answer to /tokenize; `body` is the parsed JSON, or null if it is not JSON. */
export interface EngineAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** Whether a connection failed because this process, or this machine, may open no more files. */
export function isOwnLack(code: string | null | undefined): boolean {
  return code === 'EMFILE' || code === 'ENFILE';
}

/** A question without a usable answer; `status` 0: no answer. */
export class ProbeError extends Error {
  readonly status: number;
  /** Error code of Node or undici for the broken connection, or null. */
  readonly code: string | null;

  constructor(message: string, status: number, code: string | null = null) {
    super(message);
    this.name = 'ProbeError';
    this.status = status;
    this.code = code;
  }

  /** Nothing listens at the address: the process is gone. */
  get refused(): boolean {
    return this.code === 'ECONNREFUSED';
  }

  /**
   * What the error says about the engine's health. 5xx: ill. Another status, such as 404 without /health: alive. A lack
   * of our own says nothing: it stays as it is.
   */
  get answer(): HealthAnswer {
    if (isOwnLack(this.code)) return 'alive';
    if (this.status >= 500) return 'ill';
    if (this.status > 0) return 'alive';
    return this.refused ? 'refused' : 'none';
  }
}

interface Question {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Limit on the answer. */
  readonly bytesMax: number;
  /** Only lines of these metrics are kept of the answer. */
  readonly names?: readonly string[];
  /** Limits on an answer in JSON. */
  readonly shape?: JsonLimits;
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
    await this.#fetch({ method: 'GET', path: '/health', bytesMax: healthBytesMax });
  }

  /** In the engine's order. @throws ProbeError */
  async models(remarks: Remarks = new Remarks()): Promise<ModelEntry[]> {
    const answer = await this.#json({ method: 'GET', path: '/v1/models', bytesMax: modelsBytesMax });
    const data = (answer as { data?: unknown } | null)?.data;
    if (!Array.isArray(data)) throw new ProbeError('/v1/models lists no data', 200);
    // Reading thousands of models takes as long as parsing them.
    if (data.length > modelsPerTurnMax) await parseTurn();
    return readModels(data, remarks);
  }

  /** From the metrics; empty if they don't contain it. */
  async cacheConfigs(remarks: Remarks = new Remarks()): Promise<CacheConfig[]> {
    return readCacheConfigs(await this.#metrics(cacheMetrics), remarks);
  }

  /** By rank; empty if it announces nothing. */
  async feedAnnouncements(remarks: Remarks = new Remarks()): Promise<FeedAnnouncement[]> {
    const answer = await this.#json({ method: 'GET', path: '/kv_event_sources', bytesMax: eventSourcesBytesMax });
    return readAnnouncements(answer, this.#url.hostname, remarks);
  }

  /** Prompt tokens of one rank found in its cache so far, from the metrics; null: not reported. */
  async prefixCacheHits(rank: number): Promise<number | null> {
    return readPrefixCacheHits(await this.#metrics(hitsMetrics), rank);
  }

  /**
   * One completion in one piece. @param rank selects a rank of several; null: any
   * @returns null if the answer has no usage
   */
  async complete(body: object, rank: number | null, timeoutMs: number): Promise<Usage | null> {
    const headers: Record<string, string> = rank === null ? {} : { 'x-data-parallel-rank': String(rank) };
    const question = { method: 'POST', path: '/v1/completions', body: JSON.stringify(body), headers } as const;
    const text = await this.#fetch({ ...question, bytesMax: smallAnswerBytesMax, shape: answerShape }, timeoutMs);
    const usage = readBodyUsage(Buffer.from(text));
    return typeof usage === 'string' ? null : usage;
  }

  /** The engine's token ids for a text or for chat messages. */
  async tokenize(input: TokenizeInput, model: string): Promise<number[]> {
    const body =
      'chat' in input
        ? `{"model":${JSON.stringify(model)},${chatQuestion(input.chat)}}`
        : JSON.stringify({ model, ...input, ...('messages' in input ? { add_generation_prompt: true } : {}) });
    const answer = await this.#json({ method: 'POST', path: '/tokenize', body, bytesMax: smallAnswerBytesMax });
    const tokens = (answer as { tokens?: unknown } | null)?.tokens;
    if (!Array.isArray(tokens)) throw new ProbeError('/tokenize returns no tokens', 200);
    return tokens as number[];
  }

  /**
   * Posts a JSON body to /tokenize. Rejects if the answer does not arrive, is too large, or arrives after the abort. An
   * answer that is not JSON counts as null.
   */
  async askTokens(body: string, signal: AbortSignal, bytesMax: number): Promise<EngineAnswer> {
    // A text has at most as many tokens as bytes, plus a few special ones.
    const commasMax = Math.min(body.length + tokensBeside, answeredTokensMax);
    const shape = { ...answerShape, stringsMax: tokensBeside, commasMax };
    let abort: (() => void) | undefined;
    try {
      const question = { method: 'POST', path: '/tokenize', body, bytesMax, shape } as const;
      const { status, text } = await this.#send(question, (giveUp) => {
        abort = () => giveUp(signal.reason as Error);
        if (signal.aborted) abort();
        else signal.addEventListener('abort', abort);
      });
      return { status, body: jsonOrNull(text) };
    } finally {
      if (abort !== undefined) signal.removeEventListener('abort', abort);
    }
  }

  /** Loads or unloads a LoRA adapter. @returns the engine's answer, whatever its status */
  changeAdapters(action: AdapterAction, body: string): Promise<{ readonly status: number; readonly text: string }> {
    const question = { method: 'POST', path: `/v1/${action}`, body, bytesMax: smallAnswerBytesMax } as const;
    return this.#answered(question, adapterMsMax);
  }

  /** The lines of these metrics. */
  #metrics(names: readonly string[]): Promise<string> {
    return this.#fetch({ method: 'GET', path: '/metrics', bytesMax: metricsBytesMax, names });
  }

  async #json(question: Question): Promise<unknown> {
    const text = await this.#fetch({ ...question, shape: answerShape });
    try {
      return JSON.parse(text);
    } catch {
      throw new ProbeError(`${question.path} answers with something that is not JSON`, 200);
    }
  }

  async #fetch(question: Question, timeoutMs: number = answerMsMax): Promise<string> {
    const { status, text } = await this.#answered(question, timeoutMs);
    if (status < 200 || status > 299) throw new ProbeError(`${question.path} answers with status ${status}`, status);
    return text;
  }

  /** Whatever the status. @throws ProbeError if no usable answer comes */
  async #answered(question: Question, timeoutMs: number): Promise<{ readonly status: number; readonly text: string }> {
    const { path } = question;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await this.#send(question, (giveUp) => {
        timer = setTimeout(() => giveUp(new TimedOut()), timeoutMs);
      });
    } catch (error) {
      if (error instanceof ProbeError) throw error;
      const { name, code, message } = error as Error & { code?: string };
      const reason = name === 'TimeoutError' ? `no answer within ${timeoutMs} ms` : message || code;
      throw new ProbeError(`${path}: ${reason}`, 0, code ?? name);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * @param limit called with a function that ends the question with an error
   * @throws ProbeError if an answer has begun and can't be used; the connection's error if none has
   */
  async #send(
    { method, path, body = '', headers, bytesMax, names, shape: limits }: Question,
    limit: (giveUp: (reason: Error) => void) => void,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const chunks: Buffer[] = [];
    const lines = names === undefined ? null : new MetricsLines(names);
    const shape = limits === undefined ? null : new JsonShape(limits);
    let bytes = 0;
    const question = new EngineQuestion((chunk, status) => {
      bytes += chunk.length;
      if (bytes > bytesMax) throw new ProbeError(`${path} answers more than ${bytesMax} bytes`, status);
      const excess = shape?.push(chunk) ?? null;
      if (excess !== null) throw new ProbeError(`${path} answers with ${excess}`, status);
      if (lines === null) chunks.push(Buffer.from(chunk));
      else lines.push(chunk);
    });
    let isGivenUp = false;
    const answered = question.ask(this.#upstream, {
      method,
      path,
      headers: Object.entries({
        ...this.#headers,
        ...headers,
        ...(body !== '' && { 'content-type': 'application/json' }),
      }).flat(),
      body: body === '' ? null : Buffer.from(body),
    });
    limit((reason) => {
      isGivenUp = true;
      question.giveUp(reason);
    });
    try {
      await answered;
    } catch (error) {
      if (error instanceof ProbeError || !isGivenUp || question.status === 0) throw error;
      throw new ProbeError(`${path} did not finish its answer in time`, question.status, 'TimeoutError');
    }
    const { status } = question;
    const encoding = question.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') {
      throw new ProbeError(`${path} answers with the encoding ${quoted(encoding)}, which was not asked for`, status);
    }
    if (bytes >= turnBytesMin) await parseTurn();
    return { status, text: lines === null ? Buffer.concat(chunks, bytes).toString('utf8') : lines.end() };
  }
}

/** No complete answer came in time. */
class TimedOut extends Error {
  override readonly name = 'TimeoutError';
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// HTTP server of one simulated engine, with vLLM's routes, bodies and statuses.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { Random } from '../core/random.ts';
import { type Tokenizer, TokenizerError } from '../tokens/tokenizer.ts';
import { ApiError, malformed, unknownModel, unservable } from './api-error.ts';
import { embeddingsBodyOf, readEmbeddings } from './embeddings.ts';
import type { EngineRuntime } from './engine-runtime.ts';
import { type JsonBody, readChat, readCompletions, readDetokenize, readTokenize } from './generation-request.ts';
import { Generator } from './generator.ts';
import { highWaterMark, type KvPublisher } from './kv-publisher.ts';
import { metricsText } from './metrics-text.ts';
import type { OutputVocabulary } from './output-vocabulary.ts';
import { ResponsesFormat } from './responses-format.ts';
import { readResponses } from './responses-request.ts';

/** A longer body is refused with 413. */
export const bodyBytesMax: number = 32 * 1024 * 1024;
export const simVersion = '0.32.0+kvoyant-sim';

export interface HttpServerContext {
  readonly model: string;
  readonly apiKey: string | null;
  readonly tokenizer: Tokenizer;
  readonly vocabulary: OutputVocabulary;
  readonly runtime: EngineRuntime;
  readonly publisher: KvPublisher | null;
  readonly blockSize: number;
  /** Blocks, the null block included. */
  readonly blocks: number;
  /** Real time between a request's arrival and its submission to the engine. */
  readonly apiOverheadMs: number;
  readonly seed: number;
}

type Route = (request: IncomingMessage, response: ServerResponse, url: URL) => void | Promise<void>;

/** Handles the requests of one engine. Pass `handle` to a node:http server. */
export class HttpServer {
  readonly #context: HttpServerContext;
  readonly #generator: Generator;
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #startS: number = Math.floor(Date.now() / 1000);

  constructor(context: HttpServerContext) {
    this.#context = context;
    this.#generator = new Generator(context, new Random(context.seed));
    this.#routes = new Map<string, Route>([
      [
        'POST /v1/completions',
        async (req, res) => this.#generator.answer(readCompletions((await readJson(req)).value), req, res),
      ],
      [
        'POST /v1/chat/completions',
        async (req, res) => this.#generator.answer(readChat(await readJson(req)), req, res),
      ],
      ['POST /v1/responses', (req, res) => this.#respond(req, res)],
      ['POST /v1/embeddings', (req, res) => this.#embed(req, res)],
      ['GET /v1/models', (_req, res) => sendJson(res, 200, this.#models())],
      ['GET /health', (_req, res) => send(res, 200, 'text/plain', '')],
      ['GET /ping', (_req, res) => send(res, 200, 'text/plain', '')],
      ['POST /ping', (_req, res) => send(res, 200, 'text/plain', '')],
      ['GET /version', (_req, res) => sendJson(res, 200, { version: simVersion })],
      ['GET /load', (_req, res) => sendJson(res, 200, { server_load: 0 })],
      ['GET /metrics', (_req, res) => send(res, 200, 'text/plain; version=0.0.4; charset=utf-8', this.#metrics())],
      ['GET /kv_event_sources', (_req, res) => sendJson(res, 200, this.#eventSources())],
      ['POST /tokenize', (req, res) => this.#tokenize(req, res)],
      ['POST /detokenize', (req, res) => this.#detokenize(req, res)],
      ['POST /reset_prefix_cache', (_req, res, url) => this.#resetPrefixCache(res, url)],
    ]);
  }

  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    void this.#serve(request, response);
  };

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? '/', 'http://engine');
      const route = this.#routes.get(`${request.method} ${url.pathname}`);
      if (route === undefined) this.#refuseRoute(response, url.pathname);
      else if (!this.#isAuthorised(request, url.pathname)) sendJson(response, 401, { error: 'Unauthorized' });
      else await route(request, response, url);
    } catch (error) {
      const failure = error instanceof ApiError ? error : asApiError(error);
      if (!response.headersSent) sendJson(response, failure.status, failure.body());
      else response.destroy();
    }
  }

  #refuseRoute(response: ServerResponse, path: string): void {
    const isKnown = [...this.#routes.keys()].some((route) => route.endsWith(` ${path}`));
    sendJson(response, isKnown ? 405 : 404, { detail: isKnown ? 'Method Not Allowed' : 'Not Found' });
  }

  #isAuthorised(request: IncomingMessage, path: string): boolean {
    const { apiKey } = this.#context;
    return apiKey === null || !path.startsWith('/v1') || request.headers.authorization === `Bearer ${apiKey}`;
  }

  #models(): object {
    const { model, runtime } = this.#context;
    return {
      object: 'list',
      data: [
        {
          id: model,
          object: 'model',
          created: this.#startS,
          owned_by: 'kvoyant',
          root: model,
          parent: null,
          max_model_len: runtime.engine.contextTokensMax,
          permission: [],
        },
      ],
    };
  }

  #metrics(): string {
    const { model, runtime, blockSize, blocks } = this.#context;
    return metricsText({
      model,
      engine: runtime.engine,
      blockSize,
      blocks,
      rejected: runtime.rejected,
      lateMs: runtime.lateMs,
    });
  }

  #eventSources(): object {
    const { publisher } = this.#context;
    if (publisher === null) return {};
    const { endpoint, replayEndpoint, options } = publisher;
    // To vLLM's clients an endpoint without wildcard means that the engine connects, so report a bound one with a
    // wildcard.
    const told = options.connect ?? endpoint.replace(/^tcp:\/\/.*(?=:\d+$)/, 'tcp://*');
    return {
      '0': {
        enable_kv_cache_events: true,
        publisher: 'zmq',
        endpoint: told,
        replay_endpoint: replayEndpoint,
        buffer_steps: options.bufferSteps,
        hwm: highWaterMark,
        max_queue_size: highWaterMark,
        topic: options.topic,
      },
    };
  }

  async #respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { generation, echo } = readResponses((await readJson(request)).value);
    await this.#generator.answer(generation, request, response, (head) => new ResponsesFormat(head, echo));
  }

  async #embed(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const wanted = readEmbeddings((await readJson(request)).value);
    this.#checkModel(wanted.model);
    const { model, runtime } = this.#context;
    const inputs = await Promise.all(wanted.inputs.map((input) => this.#generator.encode(input)));
    sendJson(response, 200, embeddingsBodyOf(wanted, inputs, model, runtime.engine.contextTokensMax));
  }

  async #tokenize(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { model, input } = readTokenize(await readJson(request));
    this.#checkModel(model);
    const { tokenizer, runtime } = this.#context;
    const ids =
      'chat' in input
        ? await this.#generator.encode({ kind: 'chat', ...input })
        : await tokenizer.encode(input.text, { addSpecialTokens: input.addSpecialTokens });
    sendJson(response, 200, {
      count: ids.length,
      max_model_len: runtime.engine.contextTokensMax,
      tokens: Array.from(ids),
      token_strs: null,
    });
  }

  async #detokenize(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { model, tokens } = readDetokenize((await readJson(request)).value);
    this.#checkModel(model);
    sendJson(response, 200, { prompt: await this.#context.tokenizer.decode(tokens) });
  }

  #resetPrefixCache(response: ServerResponse, url: URL): void {
    const preemptRunning = url.searchParams.get('reset_running_requests') === 'true';
    sendJson(response, 200, { success: this.#context.runtime.engine.resetPrefixCache(preemptRunning) });
  }

  #checkModel(model: string | null): void {
    if (model !== null && model !== this.#context.model) throw unknownModel(model);
  }
}

/** @throws ApiError 400 or 413 */
async function readJson(request: IncomingMessage): Promise<JsonBody> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Keep the connection: the refusal still has to reach the client.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) throw new ApiError(413, 'Bad Request', `The body exceeds ${bodyBytesMax} bytes.`);
    chunks.push(chunk);
  }
  try {
    const text = Buffer.concat(chunks, bytes).toString('utf8');
    return { value: JSON.parse(text) as unknown, text };
  } catch (error) {
    throw malformed(`The body is not JSON: ${(error as Error).message}`);
  }
}

/**
 * Converts an error to a response: input that the tokenizer rejects is a client error, anything else a server error.
 */
function asApiError(error: unknown): ApiError {
  const isInput =
    error instanceof TokenizerError && (error.code === 'message-invalid' || error.code.startsWith('chat-template'));
  const message = error instanceof Error ? error.message : String(error);
  if (isInput) return unservable(message, (error as TokenizerError).param);
  return new ApiError(500, 'InternalServerError', message);
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  send(response, status, 'application/json', JSON.stringify(body));
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

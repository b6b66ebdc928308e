// A tiny engine with the OpenAI API whose behaviour a test defines: it can refuse, reset, cut, hang or answer.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { freePort } from './free-port.ts';

export interface FakeRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  readonly response: ServerResponse;
  readonly socket: Socket;
}

export type Behaviour = (request: FakeRequest) => unknown;

/** Body of a /tokenize request. */
export type Question = Readonly<Record<string, unknown>>;

export interface FakeEngineOptions {
  readonly models?: readonly string[];
  readonly port?: number;
  readonly metrics?: string;
  /** Body of `/kv_event_sources`. */
  readonly eventSources?: object;
  /** In its list of models. */
  readonly ownedBy?: string;
}

export class FakeEngine {
  readonly requests: FakeRequest[] = [];
  /** Requests whose connection ended before their answer was complete. */
  aborted = 0;
  behaviour: Behaviour = (request) => streamTokens(request, 3);
  readonly questions: Question[] = [];
  /** Answers /tokenize; null: no such route. */
  tokenize: ((question: Question, response: ServerResponse) => unknown) | null = null;
  health: (response: ServerResponse) => unknown = (response) => response.end();
  models: readonly string[];
  metrics: string | undefined;
  eventSources: object | undefined;
  readonly ownedBy: string;
  port = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(options: FakeEngineOptions) {
    this.models = options.models ?? ['fake'];
    this.metrics = options.metrics;
    this.eventSources = options.eventSources;
    this.ownedBy = options.ownedBy ?? 'test';
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(options: FakeEngineOptions = {}): Promise<FakeEngine> {
    const engine = new FakeEngine(options);
    engine.#server.listen({ port: options.port ?? (await freePort()), host: '127.0.0.1', backlog: 4096 });
    // Rejects if another program has the port.
    await once(engine.#server, 'listening');
    engine.port = (engine.#server.address() as AddressInfo).port;
    return engine;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Resets every connection at once, like a killed process. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    if (path === '/health') {
      this.health(response);
    } else if (path === '/v1/models' && request.method === 'GET') {
      const data = this.models.map((id) => ({ id, object: 'model', created: 1, owned_by: this.ownedBy, parent: null }));
      replyJson(response, 200, { object: 'list', data });
    } else if (path === '/metrics' && this.metrics !== undefined) {
      response.end(this.metrics);
    } else if (path === '/kv_event_sources' && this.eventSources !== undefined) {
      replyJson(response, 200, this.eventSources);
    } else if (path === '/tokenize' && this.tokenize !== null) {
      const question = JSON.parse(await readText(request)) as Question;
      this.questions.push(question);
      await this.tokenize(question, response);
    } else if (path === '/metrics' || path === '/kv_event_sources' || path === '/tokenize') {
      replyJson(response, 404, { detail: 'Not Found' });
    } else {
      const body = await readText(request);
      response.on('close', () => {
        if (!response.writableFinished) this.aborted += 1;
      });
      const fake: FakeRequest = {
        method: request.method ?? '',
        path,
        headers: request.headers,
        body,
        response,
        socket: request.socket,
      };
      this.requests.push(fake);
      await this.behaviour(fake);
    }
  }
}

/** Answers /tokenize with a token per character of the text, or of the messages as JSON. */
export function tokenizeCharacters(question: Question, response: ServerResponse): void {
  const { prompt, messages } = question;
  const text = typeof prompt === 'string' ? prompt : (messages as object[]).map((m) => JSON.stringify(m)).join('\n');
  replyTokens(
    response,
    Array.from(text, (character) => character.codePointAt(0)!),
  );
}

export function replyTokens(response: ServerResponse, tokens: readonly number[]): void {
  replyJson(response, 200, { count: tokens.length, max_model_len: 4096, tokens, token_strs: null });
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

export function replyJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

export function openStream({ response }: FakeRequest): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
}

export function sendToken({ response }: FakeRequest, text: string, finish: string | null = null): void {
  const choices = [{ index: 0, delta: { content: text }, logprobs: null, finish_reason: finish, token_ids: null }];
  const chunk = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'fake', choices };
  response.write(`data: ${JSON.stringify(chunk)}\n\n`);
}

export function endStream({ response }: FakeRequest, promptTokens: number, tokens: number): void {
  const usage = {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens + tokens,
    completion_tokens: tokens,
    prompt_tokens_details: { cached_tokens: 0 },
  };
  const chunk = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'fake', choices: [], usage };
  response.end(`data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`);
}

export function streamTokens(request: FakeRequest, tokens: number): void {
  openStream(request);
  for (let i = 1; i <= tokens; i++) sendToken(request, `t${i}`, i === tokens ? 'length' : null);
  endStream(request, 10, tokens);
}

export function replyWhole({ response }: FakeRequest, content: string): void {
  replyJson(response, 200, {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'fake',
    choices: [{ index: 0, message: { role: 'assistant', content }, logprobs: null, finish_reason: 'stop' }],
    usage: { prompt_tokens: 10, total_tokens: 12, completion_tokens: 2, prompt_tokens_details: null },
  });
}

/** Resets the connection once the gateway has read what was written: a reset drops what is still unread. */
export async function resetAfter({ socket }: FakeRequest, ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  // After a stall of the event loop, timers run before sockets are read.
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  socket.resetAndDestroy();
}

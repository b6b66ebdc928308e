// Mock engines of the gateway bench: they answer every chat at once, with chunks at a steady pace, for little CPU time.

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { mockModel } from './bodies.ts';

const tickMs = 1;
const headEnd = Buffer.from('\r\n\r\n');
const seedKey = Buffer.from('"seed":');
const streamHead =
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nserver: uvicorn\r\n' +
  'transfer-encoding: chunked\r\n\r\n';

/** Prompt tokens of a request, and how many of them were in the engine's cache. */
export interface MockUsage {
  readonly promptTokens: number;
  readonly cachedTokens: number;
}

export interface MockEnginesOptions {
  readonly count: number;
  /** Tokens of each answer, one per chunk. */
  readonly chunks: number;
  readonly chunkMs: number;
  /** Send a stream's next chunk only after `arrived`, so that a late router or machine does not merge chunks. */
  readonly lockstep: boolean;
  /** Called when a request has arrived. @param number of its body */
  onRequest?(engine: number, number: number): MockUsage;
  /** Token ids for the body of a /tokenize request. */
  tokenize(text: string): Uint32Array;
}

interface Stream {
  readonly socket: Socket;
  readonly startMs: number;
  readonly usage: MockUsage;
  readonly number: number;
  sent: number;
  arrived: boolean;
}

/** Chunk k of an answer is `bytes` from `ends[k - 1]` to `ends[k]`. */
interface Script {
  readonly bytes: Buffer;
  readonly ends: readonly number[];
}

export class MockEngines {
  readonly #options: MockEnginesOptions;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #streams: Set<Stream>[] = [];
  readonly #byNumber = new Map<number, Stream>();
  readonly #script: Script;
  readonly #timer: NodeJS.Timeout;
  /** Chats received, by engine. */
  readonly received: number[] = [];
  #tick = 0;

  private constructor(options: MockEnginesOptions) {
    this.#options = options;
    this.#script = scriptOf(options.chunks);
    this.#timer = setInterval(() => this.#step(), tickMs);
  }

  static async start(options: MockEnginesOptions): Promise<MockEngines> {
    const engines = new MockEngines(options);
    for (let index = 0; index < options.count; index++) {
      engines.#streams.push(new Set());
      engines.received.push(0);
      const server = createServer({ noDelay: true }, (socket) => engines.#accept(socket, index));
      engines.#servers.push(server);
      await new Promise<void>((resolve) => {
        server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, resolve);
      });
    }
    return engines;
  }

  get urls(): string[] {
    return this.#servers.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }

  /** The client has read a part of this body's answer. */
  arrived(number: number): void {
    const stream = this.#byNumber.get(number);
    if (stream !== undefined) stream.arrived = true;
  }

  close(): void {
    clearInterval(this.#timer);
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: Socket, engine: number): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const parts: Buffer[] = [];
    let length = 0;
    /** Length of the request being read; null until its head is complete. */
    let expected: number | null = null;
    socket.on('data', (part: Buffer) => {
      parts.push(part);
      length += part.length;
      if (expected === null) {
        const bytes = parts.length === 1 ? part : Buffer.concat(parts);
        parts.splice(0, parts.length, bytes);
        expected = requestLength(bytes);
      }
      // Clients do not send the next request before they have the answer.
      if (expected === null || length < expected) return;
      const request = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
      parts.length = 0;
      length = 0;
      expected = null;
      this.#answer(socket, engine, request);
    });
  }

  #answer(socket: Socket, engine: number, request: Buffer): void {
    const [method, path = ''] = request.toString('latin1', 0, request.indexOf(0x0d)).split(' ');
    if (method === 'POST' && /^\/v1\/(chat\/)?completions$/.test(path)) {
      const at = request.lastIndexOf(seedKey);
      const number = at === -1 ? -1 : Number.parseInt(request.toString('latin1', at + seedKey.length, at + 24), 10);
      this.received[engine]! += 1;
      const usage = this.#options.onRequest?.(engine, number) ?? { promptTokens: 1, cachedTokens: 0 };
      const stream: Stream = { socket, startMs: performance.now(), usage, number, sent: 0, arrived: false };
      if (number >= 0) this.#byNumber.set(number, stream);
      socket.cork();
      socket.write(streamHead, 'latin1');
      this.#send(stream, 1);
      socket.uncork();
      this.#streams[engine]!.add(stream);
      return;
    }
    const body = path === '/tokenize' ? this.#tokens(request) : controlAnswer(path);
    const type = path === '/metrics' ? 'text/plain' : 'application/json';
    const status = body === null ? '404 Not Found' : '200 OK';
    const text = body ?? '{"detail":"Not Found"}';
    socket.write(`HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
  }

  #tokens(request: Buffer): string {
    const tokens = [...this.#options.tokenize(request.toString('utf8', request.indexOf(headEnd) + headEnd.length))];
    return JSON.stringify({ count: tokens.length, max_model_len: 131_072, tokens, token_strs: null });
  }

  /** Half of the engines step at each tick: an engine sends one token of each of its streams every `chunkMs`. */
  #step(): void {
    const { chunks, chunkMs } = this.#options;
    const nowMs = performance.now();
    this.#tick += 1;
    for (let engine = this.#tick & 1; engine < this.#streams.length; engine += 2) {
      const streams = this.#streams[engine]!;
      for (const stream of streams) {
        let due = Math.min(chunks, 1 + Math.floor((nowMs - stream.startMs) / chunkMs));
        if (this.#options.lockstep && stream.number >= 0)
          due = Math.min(due, stream.arrived ? stream.sent + 1 : stream.sent);
        if (due > stream.sent) this.#send(stream, due);
        if (stream.sent < chunks && !stream.socket.destroyed) continue;
        streams.delete(stream);
        this.#byNumber.delete(stream.number);
        if (!stream.socket.destroyed) stream.socket.write(lastChunks(stream.usage, chunks));
      }
    }
  }

  #send(stream: Stream, due: number): void {
    const { bytes, ends } = this.#script;
    stream.socket.write(bytes.subarray(stream.sent === 0 ? 0 : ends[stream.sent - 1]!, ends[due - 1]!));
    stream.sent = due;
    stream.arrived = false;
  }
}

/** Bytes of the request at the start of `bytes`; null while its head is incomplete. */
function requestLength(bytes: Buffer): number | null {
  const end = bytes.indexOf(headEnd);
  if (end === -1) return null;
  const length = /\r\ncontent-length: *(\d+)/i.exec(bytes.toString('latin1', 0, end))?.[1] ?? '0';
  return end + headEnd.length + Number(length);
}

/** Answers to the control requests of other routers. */
function controlAnswer(path: string): string | null {
  const card = {
    id: mockModel,
    object: 'model',
    created: 1,
    owned_by: 'mock',
    root: mockModel,
    max_model_len: 131_072,
  };
  const info = { model_path: mockModel, served_model_name: mockModel, is_generation: true, version: '0.1', dp_size: 1 };
  switch (path) {
    case '/health':
    case '/health_generate':
      return '';
    case '/v1/models':
      return JSON.stringify({ object: 'list', data: [card] });
    case '/get_model_info':
    case '/model_info':
    case '/get_server_info':
    case '/server_info':
      return JSON.stringify(info);
    case '/metrics':
      return 'vllm:cache_config_info{block_size="16",enable_prefix_caching="True",num_gpu_blocks="65536"} 1.0\n';
    default:
      return null;
  }
}

function event(choices: readonly object[], usage: object | null): string {
  const head = { id: 'chatcmpl-7f3b1c0d9a5e4f2d8b6a', object: 'chat.completion.chunk', created: 1_764_000_000 };
  return `data: ${JSON.stringify({ ...head, model: mockModel, choices, ...(usage !== null && { usage }) })}\n\n`;
}

function framed(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

function scriptOf(chunks: number): Script {
  const ends: number[] = [];
  let text = '';
  for (let chunk = 0; chunk < chunks; chunk++) {
    const finish = chunk === chunks - 1 ? 'length' : null;
    const delta = (content: string, role: object): object[] => [
      { index: 0, delta: { ...role, content }, logprobs: null, finish_reason: null },
    ];
    if (chunk === 0) text += framed(event(delta('', { role: 'assistant' }), null));
    const token = event(
      [{ index: 0, delta: { content: ` word${chunk}` }, logprobs: null, finish_reason: finish }],
      null,
    );
    text += framed(token);
    ends.push(text.length);
  }
  return { bytes: Buffer.from(text), ends };
}

function lastChunks({ promptTokens, cachedTokens }: MockUsage, chunks: number): string {
  const usage = {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens + chunks,
    completion_tokens: chunks,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
  return `${framed(event([], usage))}${framed('data: [DONE]\n\n')}0\r\n\r\n`;
}

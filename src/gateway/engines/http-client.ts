// An HTTP/1.1 client for one engine without TLS: connections that are used again, one request at a time on each.

import { connect, type LookupFunction, type Socket } from 'node:net';
import { type AnswerHeaders, type AnswerSink, HttpAnswerReader } from '../../wire/http-answer-reader.ts';
import type { UpstreamController, UpstreamHandler, UpstreamRequest } from './upstream-handler.ts';

/** Bytes of one read. */
const readBytesMax = 64 * 1024;
/** An engine that says how long it keeps an idle connection may close it that much earlier. */
const idleMarginMs = 1000;
const sweepIntervalMs = 500;
const tcpKeepAliveMs = 60_000;

export interface HttpClientOptions {
  readonly host: string;
  readonly port: number;
  readonly lookup: LookupFunction | undefined;
  readonly connectMsMax: number;
  /** Idle connections are closed after this time, or earlier if the engine says so. */
  readonly idleMsMax: number;
  /** Called for the error of a request whose connection has brought at least a byte before it ended. */
  onUsedConnectionError(error: Error): void;
}

/** The connection ended before the answer did. */
export class ConnectionEnded extends Error {
  override readonly name = 'ConnectionEnded';
  readonly code = 'ECONNRESET';

  constructor() {
    super('other side closed');
  }
}

/** There was no connection within `connectMsMax`. */
export class ConnectTimeout extends Error {
  override readonly name = 'ConnectTimeout';
  readonly code = 'ETIMEDOUT';

  constructor({ host, port, connectMsMax }: HttpClientOptions) {
    super(`no connection to ${host}:${port} within ${connectMsMax} ms`);
  }
}

/** The request can't be written as HTTP/1.1; nothing was sent. */
export class UnsendableRequest extends Error {
  override readonly name = 'UnsendableRequest';
}

const refusedInValues = /[^\t\x20-\x7e\x80-\xff]/;
const refusedInPaths = /[^\x21-\xff]/;
const headerName = /^[!#$%&'*+.^`|~\w-]+$/;
/** Requests by these methods say that they have no body. */
const expectsBody: ReadonlySet<string> = new Set(['PUT', 'POST', 'PATCH']);

export class HttpClient {
  readonly options: HttpClientOptions;
  /** All connections read into it, one after another: what is passed on is valid only during the call. */
  readonly readBuffer: Buffer = Buffer.allocUnsafeSlow(readBytesMax);
  /** The one used last is the last. */
  readonly #idle: HttpConnection[] = [];
  readonly #all = new Set<HttpConnection>();
  #sweep: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: HttpClientOptions) {
    this.options = options;
  }

  get connectionCount(): number {
    return this.#all.size;
  }

  /** @param fresh on a new connection, which is closed after the answer */
  dispatch(request: UpstreamRequest, handler: UpstreamHandler, fresh: boolean): void {
    const call = new HttpCall(handler);
    let head: string;
    try {
      head = this.#headOf(request, fresh);
      if (this.#closed) throw new ConnectionEnded();
    } catch (error) {
      handler.onResponseError(call, error as Error);
      return;
    }
    const connection = (fresh ? undefined : this.#idle.pop()) ?? this.#connect(fresh);
    call.connection = connection;
    handler.onRequestStart(call);
    connection.send(call, head, request);
  }

  /** A connection is ready for the next request. */
  rest(connection: HttpConnection): void {
    this.#idle.push(connection);
    this.#sweep ??= setInterval(() => this.#closeIdle(performance.now()), sweepIntervalMs).unref();
  }

  forget(connection: HttpConnection): void {
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
  }

  /** Ends every connection, and with it every request. */
  close(): void {
    this.#closed = true;
    if (this.#sweep !== null) clearInterval(this.#sweep);
    for (const connection of [...this.#all]) connection.fail(new ConnectionEnded());
  }

  #connect(fresh: boolean): HttpConnection {
    const connection = new HttpConnection(this, fresh);
    this.#all.add(connection);
    return connection;
  }

  #closeIdle(nowMs: number): void {
    for (const connection of this.#idle.filter(({ idleUntilMs }) => idleUntilMs <= nowMs)) connection.destroy();
    if (this.#idle.length > 0) return;
    clearInterval(this.#sweep!);
    this.#sweep = null;
  }

  /** @throws UnsendableRequest */
  #headOf({ method, path, headers, body }: UpstreamRequest, fresh: boolean): string {
    if (refusedInPaths.test(path)) throw new UnsendableRequest('invalid request path');
    const { host, port } = this.options;
    const name = host.includes(':') ? `[${host}]` : host;
    const authority = port === 80 ? name : `${name}:${port}`;
    let head = `${method} ${path} HTTP/1.1\r\nhost: ${authority}\r\nconnection: ${fresh ? 'close' : 'keep-alive'}\r\n`;
    for (let at = 0; at + 1 < headers.length; at += 2) {
      const key = headers[at]!;
      const value = headers[at + 1]!;
      if (!headerName.test(key)) throw new UnsendableRequest('invalid header key');
      if (refusedInValues.test(value)) throw new UnsendableRequest(`invalid ${key} header`);
      head += `${key}: ${value}\r\n`;
    }
    const length = body?.length ?? 0;
    return length > 0 || expectsBody.has(method) ? `${head}content-length: ${length}\r\n\r\n` : `${head}\r\n`;
  }
}

/** One request, for its handler. */
class HttpCall implements UpstreamController {
  readonly handler: UpstreamHandler;
  /** Null once the request has ended. */
  connection: HttpConnection | null = null;

  constructor(handler: UpstreamHandler) {
    this.handler = handler;
  }

  /** Ends the request and its connection. Its handler is told nothing more. */
  abort(_reason: Error): void {
    const { connection } = this;
    this.connection = null;
    connection?.destroy();
  }

  pause(): void {
    this.connection?.pause();
  }

  resume(): void {
    this.connection?.resume();
  }
}

class HttpConnection implements AnswerSink {
  /** When it is closed if it is still idle. */
  idleUntilMs = 0;
  readonly #client: HttpClient;
  readonly #fresh: boolean;
  readonly #socket: Socket;
  readonly #reader = new HttpAnswerReader(this);
  #call: HttpCall | null = null;
  /** The bytes being read completed an answer. */
  #isAnswered = false;
  #connectTimer: NodeJS.Timeout | null;

  constructor(client: HttpClient, fresh: boolean) {
    this.#client = client;
    this.#fresh = fresh;
    const { host, port, lookup, connectMsMax } = client.options;
    this.#connectTimer = setTimeout(() => this.fail(new ConnectTimeout(client.options)), connectMsMax);
    this.#socket = connect({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: tcpKeepAliveMs,
      ...(lookup !== undefined && { lookup }),
      onread: { buffer: client.readBuffer, callback: (bytes) => this.#read(bytes) },
    });
    this.#socket.on('connect', () => this.#stopTimer());
    this.#socket.on('end', () => this.#ended());
    this.#socket.on('error', (error) => this.fail(error));
    this.#socket.on('close', () => this.fail(new ConnectionEnded()));
  }

  send(call: HttpCall, head: string, { method, body }: UpstreamRequest): void {
    // The handler may have aborted it as it began.
    if (call.connection !== this) return;
    this.#call = call;
    this.#reader.begin(method === 'HEAD');
    const socket = this.#socket;
    if (body === null || body.length === 0) {
      socket.write(head, 'latin1');
      return;
    }
    socket.cork();
    socket.write(head, 'latin1');
    socket.write(body);
    socket.uncork();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  destroy(): void {
    this.#call = null;
    this.#reader.stop();
    this.#stopTimer();
    this.#client.forget(this);
    this.#socket.destroy();
  }

  /** Ends the connection and the request on it, if any. */
  fail(error: Error): void {
    const call = this.#call;
    const isUsed = this.#socket.bytesRead > 0;
    this.destroy();
    if (call === null) return;
    call.connection = null;
    if (isUsed) this.#client.options.onUsedConnectionError(error);
    call.handler.onResponseError(call, error);
  }

  head(status: number, headers: AnswerHeaders): void {
    const call = this.#call!;
    call.handler.onResponseStart(call, status, headers);
  }

  body(bytes: Buffer): void {
    // It may have been aborted since the head.
    const call = this.#call;
    call?.handler.onResponseData(call, bytes);
  }

  end(): void {
    const call = this.#call;
    if (call === null) return;
    this.#call = null;
    call.connection = null;
    this.#isAnswered = true;
    call.handler.onResponseEnd(call);
  }

  /** @returns true: read on */
  #read(byteCount: number): boolean {
    const bytes = this.#client.readBuffer.subarray(0, byteCount);
    try {
      // What nobody asked for must not become the answer to the next request.
      if (this.#reader.push(bytes) > 0) this.destroy();
      else if (this.#isAnswered) this.#rest();
    } catch (error) {
      this.fail(error as Error);
    }
    return !this.#socket.isPaused();
  }

  #ended(): void {
    if (this.#reader.close()) this.destroy();
    else this.fail(new ConnectionEnded());
  }

  /** After an answer: waits for the next request, or closes. */
  #rest(): void {
    this.#isAnswered = false;
    const { keep, idleMs } = this.#reader.keepAlive;
    const { idleMsMax } = this.#client.options;
    const patienceMs = idleMs === null ? idleMsMax : Math.min(idleMsMax, idleMs - idleMarginMs);
    // If the engine answered before it had the whole request, the rest would look like the next one.
    if (this.#fresh || !keep || patienceMs <= 0 || this.#socket.writableLength > 0) {
      this.destroy();
      return;
    }
    if (this.#socket.isPaused()) this.#socket.resume();
    this.idleUntilMs = performance.now() + patienceMs;
    this.#client.rest(this);
  }

  #stopTimer(): void {
    if (this.#connectTimer !== null) clearTimeout(this.#connectTimer);
    this.#connectTimer = null;
  }
}

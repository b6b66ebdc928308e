// An HTTP/1.1 client for one engine without TLS: a pool of connections, with one request at a time on each.

import { connect, type LookupFunction, type Socket } from 'node:net';
import { type AnswerHeaders, type AnswerSink, HttpAnswerReader } from '../../wire/http-answer-reader.ts';
import type { UpstreamController, UpstreamHandler, UpstreamRequest } from './upstream-handler.ts';

/** Bytes of one read. */
const readBytesMax = 64 * 1024;
/** Idle connections are closed this long before the time that the engine announces. */
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
  /** Called with the error of a connection that had received at least one byte, and its rest before the request. */
  onUsedConnectionError(error: Error, restedMs: number): void;
}

/** The connection ended before the answer did. */
export class ConnectionEnded extends Error {
  override readonly name = 'ConnectionEnded';
  readonly code = 'ECONNRESET';

  constructor() {
    super('other side closed');
  }
}

/** No connection was established within `connectMsMax`. */
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
/** Requests with these methods get `content-length: 0` if they have no body. */
const expectsBody: ReadonlySet<string> = new Set(['PUT', 'POST', 'PATCH']);

export class HttpClient {
  readonly options: HttpClientOptions;
  /** Shared by the reads of all connections, so bytes passed on are valid only during the call. */
  readonly readBuffer: Buffer = Buffer.allocUnsafeSlow(readBytesMax);
  /** The bytes of the last read: mostly as many come again. */
  #lastRead: Buffer = this.readBuffer;
  /** Most recently used last. */
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

  /** @param fresh use a new connection, and close it after the answer */
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
    const connection = (fresh ? null : this.#rested()) ?? this.#connect(fresh);
    call.connection = connection;
    handler.onRequestStart(call);
    connection.send(call, head, request);
  }

  /** The bytes that are in the buffer after a read. */
  bytesRead(byteCount: number): Buffer {
    if (this.#lastRead.length !== byteCount) this.#lastRead = this.readBuffer.subarray(0, byteCount);
    return this.#lastRead;
  }

  /** Takes back a connection that is ready for the next request. */
  rest(connection: HttpConnection): void {
    this.#idle.push(connection);
    this.#sweep ??= setInterval(() => this.#closeIdle(performance.now()), sweepIntervalMs).unref();
  }

  forget(connection: HttpConnection): void {
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
  }

  /** Ends every connection and its request. */
  close(): void {
    this.#closed = true;
    if (this.#sweep !== null) clearInterval(this.#sweep);
    for (const connection of [...this.#all]) connection.fail(new ConnectionEnded());
  }

  /** The connection that rests shortest. Null: the engine may be about to close each of them, or there is none. */
  #rested(): HttpConnection | null {
    const connection = this.#idle.at(-1);
    // The sweep comes late when the event loop is busy.
    if (connection === undefined || connection.idleUntilMs <= performance.now()) return null;
    this.#idle.pop();
    return connection;
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
  #headOf(request: UpstreamRequest, fresh: boolean): string {
    const { method, path, headers } = request;
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
    const length = sentBytes(request);
    return length > 0 || expectsBody.has(method) ? `${head}content-length: ${length}\r\n\r\n` : `${head}\r\n`;
  }
}

function sentBytes({ body, edit }: UpstreamRequest): number {
  if (body === null) return 0;
  return edit ? body.length - (edit.end - edit.start) + Buffer.byteLength(edit.by) : body.length;
}

/** One request, as its handler controls it. */
class HttpCall implements UpstreamController {
  readonly handler: UpstreamHandler;
  /** Null once the request has ended. */
  connection: HttpConnection | null = null;

  constructor(handler: UpstreamHandler) {
    this.handler = handler;
  }

  /** Ends the request and its connection. Its handler is not called again. */
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
  /** Time at which it is closed if still idle. */
  idleUntilMs = 0;
  readonly #client: HttpClient;
  readonly #fresh: boolean;
  readonly #socket: Socket;
  readonly #reader = new HttpAnswerReader(this);
  #call: HttpCall | null = null;
  /** The current read completed an answer. */
  #isAnswered = false;
  #restsSinceMs = 0;
  /** How long it had rested when it got its request. */
  #restedMs = 0;
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

  send(call: HttpCall, head: string, { method, body, edit }: UpstreamRequest): void {
    // The handler may have aborted it in `onRequestStart`.
    if (call.connection !== this) return;
    this.#call = call;
    this.#restedMs = this.#restsSinceMs === 0 ? 0 : performance.now() - this.#restsSinceMs;
    this.#reader.begin(method === 'HEAD');
    const socket = this.#socket;
    if (body === null || (body.length === 0 && !edit)) {
      socket.write(head, 'latin1');
      return;
    }
    socket.cork();
    socket.write(head, 'latin1');
    if (edit) {
      socket.write(body.subarray(0, edit.start));
      socket.write(edit.by);
      socket.write(body.subarray(edit.end));
    } else socket.write(body);
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
    if (isUsed) this.#client.options.onUsedConnectionError(error, this.#restedMs);
    call.handler.onResponseError(call, error);
  }

  head(status: number, headers: AnswerHeaders): void {
    const call = this.#call!;
    call.handler.onResponseStart(call, status, headers);
  }

  body(bytes: Buffer): void {
    // The handler may have aborted it since the head.
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
    const bytes = this.#client.bytesRead(byteCount);
    try {
      // Unrequested bytes must not become the answer to the next request.
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
    // If the engine answered before it had the whole request, the rest would be read as the next one.
    if (this.#fresh || !keep || patienceMs <= 0 || this.#socket.writableLength > 0) {
      this.destroy();
      return;
    }
    if (this.#socket.isPaused()) this.#socket.resume();
    this.#restsSinceMs = performance.now();
    this.idleUntilMs = this.#restsSinceMs + patienceMs;
    this.#client.rest(this);
  }

  #stopTimer(): void {
    if (this.#connectTimer !== null) clearTimeout(this.#connectTimer);
    this.#connectTimer = null;
  }
}

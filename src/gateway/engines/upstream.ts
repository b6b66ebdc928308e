// The connections to one engine: sends requests to it, and classifies connection failures.

import { lookup } from 'node:dns';
import type { Socket } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { buildConnector, type Dispatcher, Pool } from 'undici';
import { editSpans } from '../../wire/json-members.ts';
import type { EngineSpec } from '../config/engine-spec.ts';
import type { EngineTls } from '../config/engine-tls.ts';
import { ConnectTimeout, HttpClient, UnsendableRequest } from './http-client.ts';
import { routableOnly } from './routable-lookup.ts';
import type { UpstreamHandler, UpstreamRequest } from './upstream-handler.ts';

/** uvicorn closes idle connections after 5 s; ours must close first, or a request meets a closing socket. */
const idleSocketMsMax = 4000;
const connectMsMax = 5000;
/** A connection closed before the request was sent fails within a round trip. */
const staleMsMax = 100;
/** The same if it had rested for so long that the engine may have been closing it, and the engine is busy. */
const rested = { sinceMs: 1000, staleMsMax: 1000 };

/**
 * Why a connection returned no answer. `unreachable`: no connection; the engine never saw the request. `stale`: an idle
 * connection turned out to be closed. `reset`: the connection ended after the request was sent.
 */
export type UpstreamFailure = 'unreachable' | 'stale' | 'reset';

/** Errors of a connection that was never established. */
const unreachableCodes: ReadonlySet<string | undefined> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
]);

export interface UpstreamTls extends EngineTls {
  /** Name that the certificate must have; null: the address's. */
  readonly serverName: string | null;
  /** Whether a name may lead to a link-local address. */
  readonly linkLocal?: boolean;
}

export function upstreamTls(spec: EngineSpec, tls: EngineTls, linkLocal: boolean): UpstreamTls {
  return { ...tls, serverName: spec.serverName ?? null, linkLocal };
}

interface UpstreamPools {
  readonly kept: Pool;
  /** Without keep-alive: one connection per request. */
  readonly fresh: Pool;
}

export class Upstream {
  readonly #basePath: string;
  /** Sends requests to an engine without TLS; null: undici sends them. */
  readonly #client: HttpClient | null;
  #pools: UpstreamPools;
  /** Replaced ones, until their last answer has ended. */
  readonly #retired = new Set<UpstreamPools>();
  readonly #origin: string;
  #tls: UpstreamTls;
  /** Errors of connections that had answered at least one request, and how long these had rested before the last one. */
  readonly #ofUsedConnections = new WeakMap<Error, number>();

  /**
   * @param url base address; its path is prefixed to every request's path
   * @param carrier `undici` for tests that compare both clients
   */
  constructor(
    url: string,
    tls: UpstreamTls = { ca: null, identity: null, serverName: null },
    carrier: 'own' | 'undici' = 'own',
  ) {
    const { origin, pathname, protocol, hostname, port } = new URL(url);
    const isOwn = carrier === 'own' && protocol === 'http:';
    this.#client = !isOwn
      ? null
      : new HttpClient({
          host: hostname.replace(/^\[|\]$/g, ''),
          port: port === '' ? 80 : Number(port),
          lookup: tls.linkLocal === true ? undefined : routableOnly(lookup),
          connectMsMax,
          idleMsMax: idleSocketMsMax,
          onUsedConnectionError: (error, restedMs) => this.#ofUsedConnections.set(error, restedMs),
        });
    this.#basePath = pathname.replace(/\/+$/, '');
    this.#origin = origin;
    this.#tls = tls;
    this.#pools = this.#open(tls);
  }

  /** New connections use other certificates; answers under way end on those that they have. */
  renew(tls: UpstreamTls): void {
    if (isDeepStrictEqual(tls, this.#tls)) return;
    this.#tls = tls;
    const retired = this.#pools;
    this.#retired.add(retired);
    this.#pools = this.#open(tls);
    const done = (): unknown => this.#retired.delete(retired);
    Promise.all([retired.kept.close(), retired.fresh.close()]).then(done, done);
  }

  get tls(): UpstreamTls {
    return this.#tls;
  }

  path(path: string): string {
    return this.#basePath + path;
  }

  /** @param fresh use a new connection */
  dispatch(request: UpstreamRequest, handler: UpstreamHandler, fresh = false): void {
    const { method, headers, body, edit } = request;
    const path = this.path(request.path);
    if (this.#client !== null) {
      this.#client.dispatch({ method, path, headers, body, edit }, handler, fresh);
      return;
    }
    const sent = { method, path, headers, body: body !== null && edit ? editSpans(body, [edit]) : body };
    (fresh ? this.#pools.fresh : this.#pools.kept).dispatch(sent as Dispatcher.DispatchOptions, handler);
  }

  /** Whether the client sent something that HTTP does not allow, so that the request can't be forwarded. */
  isUnsendable(error: Error): boolean {
    return error instanceof UnsendableRequest || (error as { code?: string }).code === 'UND_ERR_INVALID_ARG';
  }

  /**
   * @param error of a request that has received no byte of an answer
   * @param elapsedMs since the request was sent
   */
  classify(error: Error, elapsedMs: number): UpstreamFailure {
    const { code, syscall, socket } = error as { code?: string; syscall?: string; socket?: { bytesRead?: number } };
    const isUnconnected = syscall === 'connect' || unreachableCodes.has(code) || error instanceof ConnectTimeout;
    if (isUnconnected) return 'unreachable';
    const restedMs = this.#ofUsedConnections.get(error) ?? ((socket?.bytesRead ?? 0) > 0 ? 0 : null);
    if (restedMs === null) return 'reset';
    return elapsedMs < (restedMs < rested.sinceMs ? staleMsMax : rested.staleMsMax) ? 'stale' : 'reset';
  }

  async close(): Promise<void> {
    this.#client?.close();
    const all = [this.#pools, ...this.#retired];
    await Promise.all(all.flatMap(({ kept, fresh }) => [kept.destroy(), fresh.destroy()]));
  }

  #open(tls: UpstreamTls): UpstreamPools {
    const options: Pool.Options = {
      connect: this.#connector(tls),
      // Deadlines are set elsewhere; the pool must not cut slow answers.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: idleSocketMsMax,
      keepAliveMaxTimeout: idleSocketMsMax,
      connections: null,
    };
    return {
      kept: new Pool(this.#origin, { ...options, pipelining: 1 }),
      fresh: new Pool(this.#origin, { ...options, pipelining: 0 }),
    };
  }

  #connector({ ca, identity, serverName, linkLocal = false }: UpstreamTls): buildConnector.connector {
    const connect = buildConnector({
      timeout: connectMsMax,
      ...(!linkLocal && { lookup: routableOnly(lookup) }),
      ...(ca !== null && { ca }),
      ...(identity !== null && identity),
      ...(serverName !== null && { servername: serverName }),
    });
    return (options, callback) => {
      connect(options, (...result) => {
        const [error, socket] = result;
        // Runs before undici's own listener, which passes the bare error to the request.
        if (error === null) (socket as Socket).on('error', (failure) => this.#note(failure, socket as Socket));
        callback(...result);
      });
    };
  }

  #note(failure: Error, socket: Socket): void {
    if (socket.bytesRead > 0) this.#ofUsedConnections.set(failure, 0);
  }
}

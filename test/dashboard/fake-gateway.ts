// Serves the built page with made-up data, under the strictest content security policy, so that views can be tried alone.

import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import type { DecisionShort, DoctorState, PageSession, WhatIf } from '../../src/gateway/page/page-data.ts';
import { FakeFleet } from './fake-fleet.ts';
import { fakePrefixes, fakeTruth, fakeWhatIf } from './fake-reports.ts';

export const contentSecurityPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; " +
  "frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'";

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
const policies = ['round-robin', 'least-requests', 'kv', 'lmetric', 'foresee'];

export interface FakeGatewayOptions {
  readonly workers: number;
  readonly decisionsPerS: number;
  /** The key of the login; null: none is needed. */
  readonly key?: string | null;
}

export class FakeGateway {
  readonly fleet: FakeFleet;
  readonly #options: FakeGatewayOptions;
  readonly #server: Server;
  readonly #streams = new Set<ServerResponse>();
  readonly #timers: NodeJS.Timeout[] = [];
  #whatIf: WhatIf = { kind: 'idle', policies, minutesMax: 60 };
  #doctor: DoctorState = { kind: 'idle' };
  #isOpen: boolean;

  private constructor(options: FakeGatewayOptions) {
    this.#options = options;
    this.#isOpen = (options.key ?? null) === null;
    const nowMs = Date.now();
    this.fleet = new FakeFleet({ workers: options.workers, startedMs: nowMs - 600_000 });
    for (let i = 0; i < 300; i++) this.fleet.decide(nowMs - (300 - i) * 200);
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(options: FakeGatewayOptions, port = 0): Promise<FakeGateway> {
    const gateway = new FakeGateway(options);
    await new Promise<void>((resolve) => gateway.#server.listen(port, '127.0.0.1', resolve));
    gateway.#timers.push(
      setInterval(() => gateway.#send('snapshot', gateway.fleet.snapshot(Date.now())), 1000),
      setInterval(() => gateway.#send('sparklines', gateway.fleet.sparklines(Date.now())), 5000),
      setInterval(() => gateway.#sendDecisions(), 250),
    );
    return gateway;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #send(name: string, data: unknown): void {
    const text = `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
    for (const stream of this.#streams) stream.write(text);
  }

  #sendDecisions(): void {
    const { decisionsPerS } = this.#options;
    const made = Math.round(decisionsPerS / 4);
    const shown = Math.min(made, 50);
    if (shown === 0) return;
    const decisions = Array.from({ length: shown }, () => shortOf(this.fleet.decide(Date.now())));
    this.#send('decisions', { decisions, leftOut: made - shown, perS: decisionsPerS });
  }

  #session(): PageSession {
    const needsKey = (this.#options.key ?? null) !== null;
    return { open: this.#isOpen, needsKey, mayAct: this.#isOpen, expiresMs: null };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://x');
    if (pathname === '/') return void response.writeHead(302, { location: '/dashboard/' }).end();
    if (pathname.startsWith('/dashboard/')) return await sendFile(response, pathname.slice('/dashboard/'.length));
    if (request.method !== 'GET' && request.headers['x-kvoyant-page'] !== '1')
      return void response.writeHead(403).end();
    const body = request.method === 'POST' ? ((await readJson(request)) as Record<string, never>) : {};
    const answer = this.#data(request.method ?? 'GET', pathname, searchParams, body);
    if (pathname === '/page/stream') return this.#stream(response);
    response.writeHead(answer === null ? 404 : answer === 'refused' ? 401 : 200, {
      'content-type': 'application/json',
    });
    response.end(JSON.stringify(answer === 'refused' ? { error: { message: 'the key is unknown' } } : answer));
  }

  #data(method: string, path: string, query: URLSearchParams, body: Record<string, never>): unknown {
    const nowMs = Date.now();
    const span = query.get('span') === 'coarse' ? 'coarse' : 'fine';
    if (path.startsWith('/page/decisions/')) {
      const id = decodeURIComponent(path.slice('/page/decisions/'.length));
      const found = this.fleet.decisions.filter(({ requestId }) => requestId === id);
      return found.length === 0 ? null : found;
    }
    if (path.endsWith('/drain')) {
      const id = decodeURIComponent(path.split('/')[2]!);
      if (method === 'POST') this.fleet.draining.add(id);
      else this.fleet.draining.delete(id);
      return {};
    }
    switch (`${method} ${path}`) {
      case 'GET /page/session':
        return this.#session();
      case 'POST /page/login':
        if (body['key'] !== this.#options.key) return 'refused';
        this.#isOpen = true;
        return this.#session();
      case 'POST /page/logout':
        this.#isOpen = false;
        return this.#session();
      case 'GET /page/decisions':
        return { decisions: this.#filtered(query), kept: this.fleet.decisions.length, keptMax: 2000 };
      case 'GET /page/history':
        return this.fleet.history(span, query.get('worker'), nowMs);
      case 'GET /page/prefixes':
        return fakePrefixes(this.fleet.ids, nowMs);
      case 'GET /page/truth':
        return fakeTruth(this.fleet.history(span, null, nowMs), this.fleet.snapshot(nowMs));
      case 'GET /page/what-if':
        return this.#whatIf;
      case 'POST /page/what-if':
        this.#whatIf = {
          kind: 'done',
          policies,
          minutesMax: 60,
          result: fakeWhatIf(body['policy']!, body['minutes']!, nowMs),
        };
        return this.#whatIf;
      case 'GET /page/doctor':
        return this.#doctor;
      case 'POST /page/doctor':
        this.#doctor = {
          kind: 'done',
          worker: body['worker']!,
          timeMs: nowMs,
          findings: [],
          lines: ['tokens: the same', 'cache: found', 'events: announced'],
        };
        return this.#doctor;
      default:
        return null;
    }
  }

  #filtered(query: URLSearchParams): DecisionShort[] {
    const worker = query.get('worker');
    return this.fleet.decisions
      .filter((row) => worker === null || row.worker === worker)
      .filter(({ surprise }) => query.get('surprise') === null || surprise !== null)
      .filter(({ attempt }) => query.get('retry') === null || attempt > 1)
      .slice(-Number(query.get('limit') ?? 500))
      .toReversed()
      .map(shortOf);
  }

  #stream(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    this.#streams.add(response);
    response.on('close', () => this.#streams.delete(response));
    const nowMs = Date.now();
    response.write(`event: snapshot\ndata: ${JSON.stringify(this.fleet.snapshot(nowMs))}\n\n`);
    response.write(`event: sparklines\ndata: ${JSON.stringify(this.fleet.sparklines(nowMs))}\n\n`);
  }
}

function shortOf({
  all: _all,
  why: _why,
  ...short
}: ReturnType<FakeFleet['decide']> & { all?: unknown; why?: unknown }): DecisionShort {
  return short;
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  return text === '' ? {} : JSON.parse(text);
}

const root = join(import.meta.dirname, '..', '..', 'dist', 'dashboard');

async function sendFile(response: ServerResponse, path: string): Promise<void> {
  const file = normalize(path === '' ? 'index.html' : path);
  try {
    const body = await readFile(join(root, file));
    response.writeHead(200, {
      'content-type': types[extname(file)] ?? 'application/octet-stream',
      'content-security-policy': contentSecurityPolicy,
    });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
}

// Our HTTP client and undici behave the same before the same engines: answers cut anywhere, broken, early, or abandoned.

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Upstream } from '../../../src/gateway/engines/upstream.ts';
import type {
  UpstreamController,
  UpstreamHandler,
  UpstreamRequest,
} from '../../../src/gateway/engines/upstream-handler.ts';

type Carrier = 'own' | 'undici';
const carriers: readonly Carrier[] = ['own', 'undici'];

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Answers each request on a connection by the function. */
type Script = (socket: Socket, request: string, connection: number) => unknown;

class RawEngine {
  connections = 0;
  readonly requests: string[] = [];
  readonly sockets = new Set<Socket>();
  readonly #server: Server;

  constructor(script: Script) {
    this.#server = createServer({ noDelay: true }, (socket) => {
      const connection = this.connections++;
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('error', () => undefined);
      let text = '';
      socket.on('data', (bytes) => {
        text += bytes.toString('latin1');
        const end = text.indexOf('\r\n\r\n');
        const length = Number(/content-length: (\d+)/.exec(text)?.[1] ?? 0);
        if (end === -1 || text.length < end + 4 + length) return;
        const request = text;
        text = '';
        this.requests.push(request);
        void script(socket, request, connection);
      });
    });
  }

  static async start(script: Script): Promise<RawEngine> {
    const engine = new RawEngine(script);
    engine.#server.listen(0, '127.0.0.1');
    await once(engine.#server, 'listening');
    closing.push(() => engine.close());
    return engine;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/base/`;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

interface Outcome {
  readonly statuses: number[];
  headers: Record<string, unknown>;
  body: string;
  end: 'end' | 'error' | null;
  failure: string | null;
}

interface Call {
  readonly outcome: Outcome;
  readonly settled: Promise<Outcome>;
  controller: UpstreamController | null;
}

const post = {
  method: 'POST',
  path: '/x?y=1',
  headers: ['content-type', 'a/b'],
  body: Buffer.from('hello') as Buffer | null,
};

function send(
  upstream: Upstream,
  request: UpstreamRequest = post,
  hooks: Partial<UpstreamHandler> = {},
  fresh = false,
): Call {
  const outcome: Outcome = { statuses: [], headers: {}, body: '', end: null, failure: null };
  const call: { -readonly [K in keyof Call]: Call[K] } = {
    outcome,
    settled: Promise.resolve(outcome),
    controller: null,
  };
  call.settled = new Promise((resolve) => {
    const handler: UpstreamHandler = {
      onRequestStart: (controller) => {
        call.controller = controller;
      },
      onResponseStart: (_, status, headers) => {
        outcome.statuses.push(status);
        outcome.headers = { ...headers };
      },
      onResponseData: (_, bytes) => {
        outcome.body += bytes.toString('latin1');
      },
      onResponseEnd: () => {
        expect(outcome.end).toBe(null);
        outcome.end = 'end';
        resolve(outcome);
      },
      onResponseError: (_, error) => {
        expect(outcome.end).toBe(null);
        outcome.end = 'error';
        outcome.failure = outcome.statuses.length > 0 ? 'cut' : upstream.classify(error, 0);
        resolve(outcome);
      },
      ...hooks,
    };
    upstream.dispatch(request, handler, fresh);
  });
  return call;
}

function open(engine: RawEngine | string, carrier: Carrier): Upstream {
  const upstream = new Upstream(typeof engine === 'string' ? engine : engine.url, undefined, carrier);
  closing.push(() => upstream.close());
  return upstream;
}

/** Outcomes of both carriers, each before an engine of its own. */
async function both(script: Script, requests = 1): Promise<[Outcome[], Outcome[]]> {
  const all = await Promise.all(
    carriers.map(async (carrier) => {
      const engine = await RawEngine.start(script);
      const upstream = open(engine, carrier);
      const outcomes: Outcome[] = [];
      for (let request = 0; request < requests; request++) {
        const outcome = await Promise.race([send(upstream).settled, sleep(3000, null)]);
        if (outcome === null) throw new Error(`${carrier} hangs`);
        outcomes.push(outcome);
      }
      return outcomes;
    }),
  );
  return [all[0]!, all[1]!];
}

const ok = 'HTTP/1.1 200 OK\r\n';
const chunkedAnswer =
  `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Twice: 1\r\nX-Twice: 2\r\ntransfer-encoding: chunked\r\n\r\n` +
  'b\r\ndata: one\n\n\r\n5;e=1\r\ndata:\r\n6\r\n two\n\n\r\n0\r\nx-trailer: 1\r\n\r\n';
const sizedAnswer = `HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{"error":1}`;
const answers = [chunkedAnswer, sizedAnswer, `HTTP/1.1 103 Hints\r\nlink: a\r\n\r\n${sizedAnswer}`];

describe('our HTTP client and undici', () => {
  it('send a body with a change that is made as it is sent', async () => {
    const bodies = fc.tuple(fc.string({ maxLength: 20 }), fc.string({ maxLength: 5 }), fc.string({ maxLength: 20 }));
    await fc.assert(
      fc.asyncProperty(bodies, fc.string({ unit: 'grapheme', maxLength: 5 }), async ([before, gone, after], by) => {
        const [start, end] = [Buffer.byteLength(before), Buffer.byteLength(before + gone)];
        const request = { ...post, body: Buffer.from(before + gone + after), edit: { start, end, by } };
        for (const carrier of carriers) {
          const engine = await RawEngine.start((socket) => socket.write(sizedAnswer));
          expect((await send(open(engine, carrier), request).settled).end).toBe('end');
          const [sent] = engine.requests;
          const changed = Buffer.from(before + by + after).toString('latin1');
          expect(sent!.slice(sent!.indexOf('\r\n\r\n') + 4)).toBe(changed);
          expect(/content-length: (\d+)/.exec(sent!)?.[1]).toBe(String(changed.length));
          engine.close();
        }
      }),
      { numRuns: 30 },
    );
  });

  it.each(answers.map((answer, index) => [index, answer] as const))(
    'read answer %i cut at each byte',
    async (_, answer) => {
      for (let cut = 1; cut < answer.length; cut += 7) {
        const [own, theirs] = await both(async (socket) => {
          socket.write(answer.slice(0, cut), 'latin1');
          await sleep(1);
          socket.write(answer.slice(cut), 'latin1');
        }, 2);
        expect(own).toEqual(theirs);
        expect(own[0]!.end).toBe('end');
      }
    },
    60_000,
  );

  it.each(answers.map((answer, index) => [index, answer] as const))(
    'fail alike when answer %i ends early, by an end or a reset',
    async (_, answer) => {
      for (let cut = 0; cut < answer.length; cut += 5) {
        for (const way of ['end', 'reset'] as const) {
          const [own, theirs] = await both(async (socket) => {
            socket.write(answer.slice(0, cut), 'latin1');
            // A reset drops what the other side has not read.
            await sleep(way === 'reset' ? 20 : 0);
            if (way === 'end') socket.end();
            else socket.resetAndDestroy();
          });
          expect(own, `cut at ${cut} by ${way}`).toEqual(theirs);
          expect(own[0]!.end).toBe('error');
        }
      }
    },
    60_000,
  );

  it.each([
    ['garbage', 'garbage\r\n\r\n'],
    ['an answer of HTTP/1.0 that ends with its connection', 'HTTP/1.0 200 OK\r\n\r\nall of it'],
    ['an answer without a length', `${ok}\r\nall of it`],
    ['100, which nobody asked for', `HTTP/1.1 100 Continue\r\n\r\n${sizedAnswer}`],
    ['101, which nobody asked for', 'HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'],
    ['a size that is no number', `${ok}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n`],
    ['a chunk longer than its size', `${ok}transfer-encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n`],
    ['a length and chunks', `${ok}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['two lengths', `${ok}content-length: 1\r\ncontent-length: 2\r\n\r\na`],
    ['a length that is no number', `${ok}content-length: x\r\n\r\na`],
    ['giant headers', `${ok}a: ${'x'.repeat(40_000)}\r\n\r\n`],
    ['connection: close', `${ok}connection: close\r\ncontent-length: 2\r\n\r\nab`],
    ['a header without a colon', `${ok}abc\r\n\r\n`],
    ['bare line feeds', 'HTTP/1.1 200 OK\ncontent-length: 0\n\n'],
  ])('agree on %s', async (_, answer) => {
    const [own, theirs] = await both((socket) => socket.end(answer, 'latin1'), 2);
    expect(own).toEqual(theirs);
  });

  it('agree on random answers', async () => {
    const head = fc.constantFrom(ok, 'HTTP/1.0 200 OK\r\n', 'HTTP/1.1 500 X\r\n');
    const framing = fc.constantFrom(
      'content-length: 4\r\n',
      'transfer-encoding: chunked\r\n',
      'connection: close\r\n',
      '',
    );
    const body = fc.array(fc.constantFrom('4\r\n', 'abcd', '\r\n', '0\r\n\r\n', 'a', '1\r\nz\r\n'), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(head, framing, body, async (start, framed, parts) => {
        const [own, theirs] = await both((socket) => socket.end(`${start}${framed}\r\n${parts.join('')}`, 'latin1'));
        // At a fault, undici may have delivered less of the body before it.
        if (own[0]!.end === 'error') expect(own[0]!.body.startsWith(theirs[0]!.body)).toBe(true);
        expect({ ...own[0], body: '' }).toEqual({ ...theirs[0], body: '' });
        if (own[0]!.end === 'end') expect(own[0]!.body).toBe(theirs[0]!.body);
      }),
      { numRuns: 150 },
    );
  }, 60_000);

  it('send the same request', async () => {
    const requests = await Promise.all(
      carriers.map(async (carrier) => {
        const engine = await RawEngine.start((socket) => socket.write(`${ok}content-length: 0\r\n\r\n`));
        const upstream = open(engine, carrier);
        const get = { method: 'GET', path: '/a', headers: ['x-a', 'b\xfc'], body: null };
        await send(upstream).settled;
        await send(upstream, get).settled;
        await send(upstream, { ...get, method: 'POST' }).settled;
        await send(upstream, { ...get, method: 'DELETE' }).settled;
        await send(upstream, post, {}, true).settled;
        const port = new URL(engine.url).port;
        return engine.requests.map((request) => request.replace(port, 'PORT').split('\r\n').toSorted());
      }),
    );
    expect(requests[0]).toEqual(requests[1]);
    expect(requests[0]![0]).toContain('POST /base/x?y=1 HTTP/1.1');
  });

  it.each(carriers)('refuse what HTTP does not allow (%s)', async (carrier) => {
    const engine = await RawEngine.start(() => undefined);
    const upstream = open(engine, carrier);
    for (const wrong of [{ headers: ['a', 'b\n'] }, { headers: ['a b', 'c'] }, { path: '/a b' }]) {
      let refused = false;
      const settled = send(
        upstream,
        { ...post, ...wrong },
        {
          onResponseError: (_, error) => {
            refused = upstream.isUnsendable(error);
          },
        },
      );
      await Promise.race([settled.settled, sleep(50)]);
      expect(refused).toBe(true);
    }
    expect(engine.requests).toEqual([]);
  });

  it.each(carriers)('report a closed port as an unreachable engine (%s)', async (carrier) => {
    const engine = await RawEngine.start(() => undefined);
    const { url } = engine;
    engine.close();
    await sleep(20);
    expect((await send(open(url, carrier)).settled).failure).toBe('unreachable');
  });

  it.each(carriers)('reuse a connection, for one request at a time (%s)', async (carrier) => {
    const engine = await RawEngine.start(async (socket) => {
      await sleep(20);
      socket.write(sizedAnswer);
    });
    const upstream = open(engine, carrier);
    await send(upstream).settled;
    await sleep(20);
    await send(upstream).settled;
    expect(engine.connections).toBe(1);
    await sleep(20);
    await Promise.all([send(upstream).settled, send(upstream).settled, send(upstream).settled]);
    expect(engine.connections).toBe(3);
    await send(upstream, post, {}, true).settled;
    expect(engine.connections).toBe(4);
    await vi.waitFor(() => expect(engine.sockets.size).toBe(3));
  });

  it.each(carriers)('report a stale connection if it ends as its next request is sent (%s)', async (carrier) => {
    const seen: string[] = [];
    const engine = await RawEngine.start((socket) => {
      if (seen.push('') === 1) socket.write(sizedAnswer);
      else socket.destroy();
    });
    const upstream = open(engine, carrier);
    await send(upstream).settled;
    await sleep(20);
    expect((await send(upstream).settled).failure).toBe('stale');
  });

  it.each([
    { restMs: 20, elapsedMs: 99, failure: 'stale' },
    { restMs: 20, elapsedMs: 900, failure: 'reset' },
    { restMs: 1100, elapsedMs: 900, failure: 'stale' },
    { restMs: 1100, elapsedMs: 1000, failure: 'reset' },
  ])('our client: $failure after $elapsedMs ms on a connection that rested $restMs ms', async (expected) => {
    const seen: string[] = [];
    const engine = await RawEngine.start((socket) => {
      if (seen.push('') === 1) socket.write(sizedAnswer);
      else socket.destroy();
    });
    const upstream = open(engine, 'own');
    await send(upstream).settled;
    await sleep(expected.restMs);
    const error = await new Promise<Error>((resolve) => {
      send(upstream, post, { onResponseError: (_, failure) => resolve(failure) });
    });
    expect(upstream.classify(error, expected.elapsedMs)).toBe(expected.failure);
  });

  it.each(carriers)('close a connection that was idle for as long as the engine says (%s)', async (carrier) => {
    const engine = await RawEngine.start((socket) =>
      socket.write(`${ok}keep-alive: timeout=3\r\ncontent-length: 0\r\n\r\n`),
    );
    await send(open(engine, carrier)).settled;
    await sleep(800);
    expect(engine.sockets.size).toBe(1);
    await vi.waitFor(() => expect(engine.sockets.size).toBe(0), 10_000);
  });

  it('our client opens a connection if one has rested too long, also before the late sweep closes it', async () => {
    const engine = await RawEngine.start((socket) =>
      socket.write(`${ok}keep-alive: timeout=3\r\ncontent-length: 0\r\n\r\n`),
    );
    const upstream = open(engine, 'own');
    await send(upstream).settled;
    await send(upstream).settled;
    expect(engine.connections).toBe(1);
    const laterMs = performance.now() + 2100;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => laterMs);
    const call = send(upstream);
    clock.mockRestore();
    await call.settled;
    expect(engine.connections).toBe(2);
  });

  it('our client ends the connection of an abandoned request, at every moment', async () => {
    const engine = await RawEngine.start((socket) => socket.write(chunkedAnswer.slice(0, -30)));
    const upstream = open(engine, 'own');
    for (const moment of ['onRequestStart', 'onResponseStart', 'onResponseData'] as const) {
      let told = 0;
      const count = (): void => {
        told += 1;
      };
      const call = send(upstream, post, {
        onResponseEnd: count,
        [moment]: (controller: UpstreamController) => controller.abort(new Error('no more')),
      });
      await Promise.race([call.settled, sleep(80)]);
      expect(told).toBe(0);
      await vi.waitFor(() => expect(engine.sockets.size).toBe(0));
    }
  });

  it.each(carriers)('hold a fast engine back while paused (%s)', async (carrier) => {
    const total = 16 * 1024 * 1024;
    const engine = await RawEngine.start((socket) => {
      socket.write(`${ok}content-length: ${total}\r\n\r\n`);
      socket.write(Buffer.alloc(total));
    });
    let bytes = 0;
    const call = send(open(engine, carrier), post, {
      onResponseData: (controller, { length }) => {
        if (bytes === 0) controller.pause();
        bytes += length;
      },
    });
    await vi.waitFor(() => expect(bytes).toBeGreaterThan(0), 5_000);
    await sleep(200);
    expect(bytes).toBeLessThan(1024 * 1024);
    call.controller!.resume();
    await call.settled;
    expect(bytes).toBe(total);
  });

  it.each(carriers)('do not use an unrequested answer for the next request (%s)', async (carrier) => {
    const engine = await RawEngine.start((socket, _, connection) =>
      socket.write(connection === 0 ? `${sizedAnswer}${sizedAnswer.replace('1}', '2}')}` : sizedAnswer),
    );
    const upstream = open(engine, carrier);
    expect((await send(upstream).settled).body).toBe('{"error":1}');
    await sleep(20);
    expect((await send(upstream).settled).body).toBe('{"error":1}');
    expect(engine.connections).toBe(2);
  });

  it.each(carriers)(
    'read an early answer, and reuse no connection with an incomplete request (%s)',
    async (carrier) => {
      const engine = await RawEngine.start(() => undefined);
      // The engine answers at the head, and reads nothing more.
      const server = createServer((socket) => {
        socket.once('data', () => {
          socket.pause();
          socket.write(sizedAnswer);
        });
        socket.on('error', () => undefined);
        closing.push(() => socket.destroy());
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      closing.push(() => server.close());
      const upstream = open(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, carrier);
      const big = { ...post, body: Buffer.alloc(32 * 1024 * 1024) };
      const outcome = await Promise.race([send(upstream, big).settled, sleep(2000, null)]);
      expect(outcome?.statuses).toEqual([404]);
      expect((await Promise.race([send(upstream).settled, sleep(2000, null)]))?.statuses).toEqual([404]);
      expect(engine.requests).toEqual([]);
    },
  );

  it.each(carriers)('fail requests in flight when closed (%s)', async (carrier) => {
    const engine = await RawEngine.start(() => undefined);
    const upstream = open(engine, carrier);
    const call = send(upstream);
    await sleep(50);
    await upstream.close();
    expect((await call.settled).end).toBe('error');
    await vi.waitFor(() => expect(engine.sockets.size).toBe(0));
    expect((await send(upstream).settled).end).toBe('error');
  });
});

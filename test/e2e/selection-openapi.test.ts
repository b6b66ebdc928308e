// The OpenAPI description of the selection service against its real answers: every status of every route.

import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Gateway } from '../../src/gateway/index.ts';
import { Harness } from './harness.ts';

// biome-ignore lint/suspicious/noExplicitAny: JSON of any shape
type AnyJson = any;

const bodyBytesMax = 100_000;
const secret = (name: string): string => `${name}-secret-0000000000001`;
const tokens = [1, 2, 3, 4];
const chat = { messages: [{ role: 'user', content: 'Hello' }], max_tokens: 4 };

const harness = new Harness();
let gateway: Gateway;
/** Its engine is never reached. */
let lonely: Gateway;
let document: AnyJson;
/** Method, path as described, and status of every answer. */
const seen = new Set<string>();

beforeAll(async () => {
  const [one, two] = await harness.engines(2);
  const key = (name: string, more: object = {}): object => ({ name, key: secret(name), selection: true, ...more });
  const apiKeys = [key('proxy'), key('user', { selection: false }), key('seldom', { requestsPerMinuteMax: 1 })];
  const options = { selection: true, bodyBytesMax, apiKeys: apiKeys as never };
  gateway = await harness.gateway({ ...options, workers: [one!.url, two!.url] });
  lonely = await harness.gateway({ ...options, workers: ['http://127.0.0.1:9'] }, 0);
  document = (await call('GET', '/openapi.json')).body;
});
afterAll(() => harness.end());

interface CallOptions {
  readonly body?: unknown;
  readonly as?: string | null;
  /** As described; default: the path without its query. */
  readonly route?: string;
  readonly of?: Gateway;
}

/** Calls, and checks the answer against the description. */
async function call(
  method: string,
  path: string,
  options: CallOptions = {},
): Promise<{ status: number; body: AnyJson }> {
  const { body, as = 'proxy', of = gateway } = options;
  const response = await fetch(of.url + path, {
    method,
    headers: as === null ? {} : { authorization: `Bearer ${secret(as)}` },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const answer = { status: response.status, body: await response.json() };
  if (document !== undefined) expectDescribed(method, options.route ?? path.split('?')[0]!, answer);
  return answer;
}

function expectDescribed(method: string, route: string, { status, body }: { status: number; body: AnyJson }): void {
  const name = `${method} ${route} ${status}`;
  const described = document.paths[route]?.[method.toLowerCase()]?.responses[status];
  expect(described, `${name} is not described`).toBeDefined();
  seen.add(name);
  const schema = described.content['application/json'].schema;
  expectFits(schema, body, name);
}

function expectFits(schema: AnyJson, value: unknown, name: string): void {
  const { success, error } = z.fromJSONSchema(resolved(schema)).safeParse(value);
  expect(success, `${name}: ${error?.message} in ${JSON.stringify(value)}`).toBe(true);
}

/** A schema with the schemas that it refers to in place. */
function resolved(schema: AnyJson): AnyJson {
  if (Array.isArray(schema)) return schema.map(resolved);
  if (typeof schema !== 'object' || schema === null) return schema;
  if (typeof schema.$ref === 'string') return resolved(at(schema.$ref));
  return Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, resolved(value)]));
}

function at(reference: string): AnyJson {
  return reference
    .split('/')
    .slice(1)
    .reduce((value, name) => value[name], document);
}

const reservation = '/reservations/{id}';
const firstToken = `${reservation}/first-token`;
const output = `${reservation}/output`;
const ofPrompts = ['/select', '/reserve', '/overlap', '/potential-loads'];

/** Every route with a call of it. */
const calls: readonly (readonly [method: string, path: string, options: CallOptions])[] = [
  ...ofPrompts.map((path) => ['POST', path, { body: { tokens } }] as const),
  ['GET', '/overlap?tokens=1,2,3', { route: '/overlap' }],
  ['GET', '/potential-loads?tokens=1,2,3', { route: '/potential-loads' }],
  ['POST', '/reservations/z/first-token', { route: firstToken }],
  ['POST', '/reservations/z/output', { route: output, body: { tokens: 1 } }],
  ['GET', '/reservations/z', { route: reservation }],
  ['DELETE', '/reservations/z', { route: reservation }],
  ['POST', '/batch', { body: { operations: [{ op: 'show', id: 'z' }] } }],
  ['POST', '/connection', { body: '' }],
  ['GET', '/loads', {}],
  ['GET', '/openapi.json', {}],
];

describe('the OpenAPI description', () => {
  it('refers to schemas that it has, names every operation once, and declares its path parameters', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference]) => reference!);
    expect(references.length).toBeGreaterThan(50);
    for (const reference of new Set(references)) expect(at(reference), reference).toBeTypeOf('object');
    const operations = Object.values<AnyJson>(document.paths).flatMap(({ get, post, delete: deleting }) =>
      [get, post, deleting].filter((one) => one !== undefined),
    );
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    for (const [path, { parameters = [] }] of Object.entries<AnyJson>(document.paths)) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(parameters.map(({ name }: { name: string }) => name)).toEqual(named);
    }
    for (const schema of Object.values(document.components.schemas)) z.fromJSONSchema(resolved(schema));
  });

  it('has the answers to prompts in every form', async () => {
    const base64 = Buffer.from(Uint32Array.from(tokens).buffer).toString('base64');
    const blockHashes = { 16: [] };
    for (const prompt of [{ tokens }, { tokens: base64 }, { text: 'Hello' }, chat, { blockHashes, isl: 4 }]) {
      for (const path of ofPrompts) {
        const { max_tokens: _, ...own } = { max_tokens: 1, ...prompt };
        const body = path === '/overlap' ? own : { ...own, max_tokens: 4 };
        expectFits(document.paths[path].post.requestBody.content['application/json'].schema, body, path);
        const { status, body: answer } = await call('POST', path, { body });
        expect(status, JSON.stringify(answer)).toBe(200);
        if (path === '/reserve') await call('DELETE', `/reservations/${answer.id}`, { route: reservation });
      }
    }
  });

  it('has the same answers to prompts in queries', async () => {
    for (const [path, more] of [
      ['/overlap', {}],
      ['/potential-loads', { max_tokens: 4, n: 2 }],
    ] as const) {
      // A text of digits stays a text.
      for (const prompt of [{ tokens }, { text: '123' }, { text: 'a,b & c', salt: '7' }]) {
        const fields = { model: 'fake', ...prompt, ...more };
        const query = new URLSearchParams(
          Object.entries(fields).map(([name, value]): [string, string] => [name, String(value)]),
        );
        const { body: expected } = await call('POST', path, { body: fields });
        const asked = await call('GET', `${path}?${query}`, { route: path });
        expect(asked).toEqual({ status: 200, body: expected });
      }
      expect((await call('GET', `${path}?tokens=1&id=2`, { route: path })).status).toBe(400);
      expect((await call('GET', `${path}?tokens=1&model=nobody`, { route: path })).status).toBe(404);
      expect((await call('GET', `${path}?tokens=1`, { route: path, of: lonely })).status).toBe(503);
      const { status, headers } = await fetch(gateway.url + path, {
        ...{ method: 'DELETE', headers: { authorization: `Bearer ${secret('proxy')}` } },
      });
      expect([status, headers.get('allow')]).toEqual([405, 'GET, HEAD, POST']);
    }
  });

  it('has the answers of a whole reservation', async () => {
    const body = { ...{ id: 'r', tokens, terms: true, leaseS: 60, priority: 1, waitMs: 0 }, slo: { ttftMs: 100 } };
    expect(await call('POST', '/reserve', { body })).toMatchObject({ status: 200, body: { id: 'r' } });
    expect((await call('POST', '/reserve', { body })).status).toBe(409);
    await call('POST', '/reservations/r/first-token', { route: firstToken });
    await call('POST', '/reservations/r/output', { route: output, body: { tokens: 3 } });
    await call('GET', '/reservations/r', { route: reservation });
    await call('DELETE', '/reservations/r?promptTokens=4&cachedTokens=0&outputTokens=3', { route: reservation });
    for (const [method, path, route] of [
      ['POST', '/reservations/r/first-token', firstToken],
      ['GET', '/reservations/r', reservation],
    ] as const) {
      expect((await call(method, path, { route })).status).toBe(410);
    }
    expect((await call('POST', '/reservations/r/output', { route: output, body: { tokens: 4 } })).status).toBe(410);
    await call('DELETE', '/reservations/early', { route: reservation });
    expect((await call('POST', '/reserve', { body: { tokens, id: 'early' } })).status).toBe(410);
  });

  it('has the errors of wrong, unknown and large requests', async () => {
    const large = { text: 'x'.repeat(bodyBytesMax) };
    for (const path of ofPrompts) {
      expect((await call('POST', path, { body: {} })).status).toBe(400);
      expect((await call('POST', path, { body: { tokens, model: 'nobody' } })).status).toBe(404);
      expect((await call('POST', path, { body: large })).status).toBe(413);
      expect((await call('POST', path, { body: { tokens }, of: lonely })).status).toBe(503);
    }
    for (const [method, action, route] of [
      ['POST', '/first-token', firstToken],
      ['POST', '/output', output],
      ['GET', '', reservation],
      ['DELETE', '', reservation],
    ] as const) {
      const body = action === '/output' ? { body: { tokens: 1 } } : {};
      expect((await call(method, `/reservations/%00${action}`, { route, ...body })).status).toBe(400);
      const unknown = await call(method, `/reservations/nobody${action}`, { route, ...body });
      expect(unknown.status).toBe(method === 'DELETE' ? 200 : 404);
    }
    expect((await call('POST', '/reservations/z/output', { route: output, body: large })).status).toBe(413);
    expect((await call('POST', '/batch', { body: { operations: 1 } })).status).toBe(400);
    expect((await call('POST', '/batch', { body: large })).status).toBe(413);
  });

  it('has the answers of a batch and of a connection, each as of its own route', async () => {
    const operations = [
      ...[
        { op: 'reserve', id: 'b', tokens },
        { op: 'first-token', id: 'b' },
        { op: 'show', id: 'b' },
      ],
      ...[
        { op: 'output', id: 'b', tokens: 2 },
        { op: 'select', tokens },
        { op: 'overlap', tokens },
      ],
      ...[
        { op: 'potential-loads', tokens },
        { op: 'delete', id: 'b', outcome: 'done' },
      ],
    ];
    const schemaOf: Readonly<Record<string, string>> = {
      ...{ reserve: 'Reserved', 'first-token': 'Reservation', show: 'Reservation', output: 'Reservation' },
      ...{ select: 'Selected', overlap: 'Overlaps', 'potential-loads': 'PotentialLoads', delete: 'Deleted' },
    };
    const schemas = document.components.schemas;
    for (const operation of operations) expectFits(schemas.Operation, operation, operation.op);
    expectFits(schemas.BatchBody, { operations }, 'batch');
    const { body } = await call('POST', '/batch', { body: { operations } });
    for (const [i, result] of body.results.entries()) {
      expect(result.status, JSON.stringify(result)).toBe(200);
      expectFits(schemas[schemaOf[operations[i]!.op]!], result.body, operations[i]!.op);
    }
    const lines = await connection([...operations, { op: 'show', id: 'nobody' }].map((one, tag) => ({ ...one, tag })));
    expect(lines).toHaveLength(operations.length + 1);
    for (const line of lines) {
      expectFits(schemas.Line, line, 'line');
      const operation = operations[line.tag];
      expectFits(operation === undefined ? schemas.Error : schemas[schemaOf[operation.op]!], line.body, 'line');
    }
    seen.add('POST /connection 200');
    expect(await inHttp10('/connection')).toMatch(/^HTTP\/1\.\d 505 /);
    seen.add('POST /connection 505');
  });

  it('has the errors of keys on every route', async () => {
    // The only call of the minute.
    await call('POST', '/select', { body: { tokens }, as: 'seldom' });
    for (const [method, path, options] of calls) {
      expect((await call(method, path, { ...options, as: null })).status, path).toBe(401);
      expect((await call(method, path, { ...options, as: 'user' })).status, path).toBe(403);
      expect((await call(method, path, { ...options, as: 'seldom' })).status, path).toBe(429);
      if (method === 'GET' && path !== '/reservations/z') expect((await call(method, path)).status).toBe(200);
    }
  });

  it('describes no other status', () => {
    const described = Object.entries<AnyJson>(document.paths).flatMap(([path, { parameters: _, ...methods }]) =>
      Object.entries<AnyJson>(methods).flatMap(([method, { responses }]) =>
        Object.keys(responses).flatMap((status) =>
          status === 'default' ? [] : [`${method.toUpperCase()} ${path} ${status}`],
        ),
      ),
    );
    expect([...seen].sort()).toEqual(described.sort());
  });
});

/** Sends operations on one connection. @returns the lines of its answer */
/** Each operation is sent once the one before is answered: a deletion would cancel what is being made. */
function connection(operations: readonly object[]): Promise<AnyJson[]> {
  const left = [...operations];
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${gateway.url}/connection`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret('proxy')}`, 'content-type': 'application/x-ndjson' },
    });
    request.on('error', reject).on('response', (response) => {
      expect(response.statusCode).toBe(200);
      expect(response.headers['content-type']).toBe('application/x-ndjson');
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
        if (piece.endsWith('\n')) sendNext();
      });
      response.on('error', reject).on('end', () =>
        resolve(
          text
            .trimEnd()
            .split('\n')
            .map((line) => JSON.parse(line)),
        ),
      );
    });
    const sendNext = (): void => {
      const operation = left.shift();
      if (operation === undefined) request.end();
      else request.write(`${JSON.stringify(operation)}\n`);
    };
    sendNext();
  });
}

function inHttp10(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(gateway.url);
    let text = '';
    const socket = connect(Number(port), hostname).on('error', reject);
    socket.on('data', (data) => {
      text += data.toString('latin1');
    });
    socket.on('close', () => resolve(text));
    const head = ['content-length: 0', `authorization: Bearer ${secret('proxy')}`, 'host: x'];
    socket.write(`POST ${path} HTTP/1.0\r\n${head.join('\r\n')}\r\n\r\n`);
  });
}

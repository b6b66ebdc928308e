// An OpenTelemetry collector for tests: takes OTLP over HTTP and decodes its protobuf by the numbers of the .proto files.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { gunzipSync } from 'node:zlib';

export type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: it has none. */
  readonly parentId: string;
  readonly traceState: string;
  readonly name: string;
  readonly kind: 'internal' | 'server' | 'client' | 'other';
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Attributes;
  readonly events: readonly { readonly name: string; readonly timeNs: bigint; readonly attributes: Attributes }[];
  readonly failed: boolean;
  readonly message: string;
  readonly resource: Attributes;
  readonly scope: string;
}

export interface ReceivedMetric {
  readonly name: string;
  readonly description: string;
  readonly unit: string;
  readonly kind: 'gauge' | 'sum' | 'histogram';
  readonly monotonic: boolean;
  readonly cumulative: boolean;
  readonly resource: Attributes;
  readonly points: readonly {
    readonly attributes: Attributes;
    readonly startNs: bigint;
    readonly timeNs: bigint;
    /** Of a histogram: its sum. */
    readonly value: number;
    readonly count: number;
    readonly bucketCounts: readonly number[];
    readonly bounds: readonly number[];
  }[];
}

export class OtlpReceiver {
  readonly spans: ReceivedSpan[] = [];
  /** Of the latest export. */
  metrics: readonly ReceivedMetric[] = [];
  readonly headers: IncomingMessage['headers'][] = [];
  /** How it answers. */
  behaviour: (response: ServerResponse, body: Buffer) => unknown = (response) => response.end();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('error', () => undefined);
      request.on('end', () => this.#receive(request, response, Buffer.concat(chunks)));
    });
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(port = 0): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver();
    receiver.#server.listen(port, '127.0.0.1');
    await once(receiver.#server, 'listening');
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  named(name: string): ReceivedSpan[] {
    return this.spans.filter((span) => span.name === name);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #receive(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
    this.headers.push(request.headers);
    const bytes = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
    if (request.url === '/v1/traces') this.spans.push(...readSpans(bytes));
    else if (request.url === '/v1/metrics') this.metrics = readMetrics(bytes);
    else response.statusCode = 404;
    this.behaviour(response, bytes);
  }
}

type Field = readonly [number: number, value: bigint | Buffer];

/** The fields of a message; numbers of fixed length as bytes. */
function* fieldsOf(message: Buffer): Generator<Field> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
  };
  while (at < message.length) {
    const tag = Number(varint());
    const kind = tag & 7;
    if (kind === 0) {
      yield [tag >> 3, varint()];
      continue;
    }
    const length = kind === 1 ? 8 : kind === 5 ? 4 : Number(varint());
    if (kind === 3 || kind === 4 || at + length > message.length) throw new Error(`malformed protobuf at ${at}`);
    yield [tag >> 3, message.subarray(at, at + length)];
    at += length;
  }
}

const all = (message: Buffer, number: number): Buffer[] =>
  [...fieldsOf(message)].flatMap(([field, value]) => (field === number ? [value as Buffer] : []));
const one = (message: Buffer, number: number): Buffer => all(message, number)[0] ?? Buffer.alloc(0);
const text = (message: Buffer, number: number): string => one(message, number).toString('utf8');
/** Absent: 0, which a writer may leave out. */
const fixed64 = (message: Buffer, number: number): bigint => {
  const bytes = one(message, number);
  return bytes.length === 0 ? 0n : bytes.readBigUInt64LE();
};
const varintOf = (message: Buffer, number: number): number =>
  Number([...fieldsOf(message)].find(([field]) => field === number)?.[1] ?? 0n);

function attributesOf(message: Buffer, number: number): Attributes {
  return Object.fromEntries(
    all(message, number).map((pair) => {
      const [[kind, value] = [0, 0n]] = [...fieldsOf(one(pair, 2))];
      const read = {
        1: () => (value as Buffer).toString('utf8'),
        2: () => value === 1n,
        3: () => Number(BigInt.asIntN(64, value as bigint)),
        4: () => (value as Buffer).readDoubleLE(),
      }[kind];
      if (read === undefined) throw new Error(`attribute ${text(pair, 1)} has a value of kind ${kind}`);
      return [text(pair, 1), read()];
    }),
  );
}

function readSpans(request: Buffer): ReceivedSpan[] {
  return all(request, 1).flatMap((ofResource) => {
    const resource = attributesOf(one(ofResource, 1), 1);
    return all(ofResource, 2).flatMap((ofScope) => {
      const scope = text(one(ofScope, 1), 1);
      return all(ofScope, 2).map((span): ReceivedSpan => {
        const status = one(span, 15);
        return {
          traceId: one(span, 1).toString('hex'),
          spanId: one(span, 2).toString('hex'),
          traceState: text(span, 3),
          parentId: one(span, 4).toString('hex'),
          name: text(span, 5),
          kind: ({ 1: 'internal', 2: 'server', 3: 'client' } as const)[varintOf(span, 6)] ?? 'other',
          startNs: fixed64(span, 7),
          endNs: fixed64(span, 8),
          attributes: attributesOf(span, 9),
          events: all(span, 11).map((event) => ({
            timeNs: fixed64(event, 1),
            name: text(event, 2),
            attributes: attributesOf(event, 3),
          })),
          message: text(status, 2),
          failed: varintOf(status, 3) === 2,
          resource,
          scope,
        };
      });
    });
  });
}

function readMetrics(request: Buffer): ReceivedMetric[] {
  return all(request, 1).flatMap((ofResource) => {
    const resource = attributesOf(one(ofResource, 1), 1);
    return all(ofResource, 2).flatMap((ofScope) =>
      all(ofScope, 2).map((metric): ReceivedMetric => {
        const [number, kind] = (
          [
            [5, 'gauge'],
            [7, 'sum'],
            [9, 'histogram'],
          ] as const
        ).find(([field]) => all(metric, field).length > 0)!;
        const data = one(metric, number);
        return {
          name: text(metric, 1),
          description: text(metric, 2),
          unit: text(metric, 3),
          kind,
          cumulative: varintOf(data, 2) === 2,
          monotonic: varintOf(data, 3) === 1,
          resource,
          points: all(data, 1).map((point) => readPoint(point, kind === 'histogram')),
        };
      }),
    );
  });
}

function readPoint(point: Buffer, isHistogram: boolean): ReceivedMetric['points'][number] {
  const [value] = all(point, isHistogram ? 5 : 4);
  const packed = <T>(number: number, read: (bytes: Buffer) => T): T[] =>
    all(point, number).flatMap((bytes) =>
      Array.from({ length: bytes.length / 8 }, (_, i) => read(bytes.subarray(8 * i, 8 * i + 8))),
    );
  return {
    attributes: attributesOf(point, isHistogram ? 9 : 7),
    startNs: fixed64(point, 2),
    timeNs: fixed64(point, 3),
    value: value === undefined ? Number(one(point, 6).readBigInt64LE()) : value.readDoubleLE(),
    count: isHistogram ? Number(fixed64(point, 4)) : 0,
    bucketCounts: isHistogram ? packed(6, (bytes) => Number(bytes.readBigUInt64LE())) : [],
    bounds: isHistogram ? packed(7, (bytes) => bytes.readDoubleLE()) : [],
  };
}

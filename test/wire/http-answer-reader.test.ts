import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AnswerHeaders, HttpAnswerReader, HttpFormatError } from '../../src/wire/http-answer-reader.ts';

interface Told {
  readonly heads: [number, AnswerHeaders][];
  body: string;
  ends: number;
  fault: string | null;
  /** Bytes after the end. */
  excess: number;
  /** The end of the connection ended the answer. */
  byClose: boolean;
  readonly bodyCalls: number[];
}

function read(
  pieces: readonly Buffer[],
  options: { readonly head?: boolean; readonly reader?: HttpAnswerReader } = {},
): Told {
  const told: Told = { heads: [], body: '', ends: 0, fault: null, excess: 0, byClose: false, bodyCalls: [] };
  let calls = 0;
  const reader = new HttpAnswerReader({
    head: (status, headers) => told.heads.push([status, { ...headers }]),
    body: (bytes) => {
      calls += 1;
      told.body += bytes.toString('latin1');
    },
    end: () => {
      told.ends += 1;
    },
  });
  reader.begin(options.head ?? false);
  try {
    for (const piece of pieces) {
      calls = 0;
      // A copy, since reading moves bytes.
      told.excess += reader.push(Buffer.from(piece));
      told.bodyCalls.push(calls);
    }
    told.byClose = reader.close();
  } catch (error) {
    if (!(error instanceof HttpFormatError)) throw error;
    told.fault = error.message;
  }
  return told;
}

const whole = (text: string): Told => read([Buffer.from(text, 'latin1')]);
const ok = 'HTTP/1.1 200 OK\r\n';

describe('HttpAnswerReader', () => {
  it('reads bodies with a length, in chunks, until the connection ends, and empty ones', () => {
    expect(whole(`${ok}content-length: 5\r\n\r\nhello`)).toMatchObject({
      body: 'hello',
      ends: 1,
      fault: null,
      excess: 0,
    });
    expect(
      whole(`${ok}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\nt: 1\r\n\r\n`),
    ).toMatchObject({
      body: 'abc0123456789',
      ends: 1,
      excess: 0,
      bodyCalls: [1],
    });
    expect(whole(`${ok}\r\nall of it`)).toMatchObject({ body: 'all of it', ends: 1, byClose: true });
    expect(whole(`${ok}content-length: 0\r\n\r\n`)).toMatchObject({ body: '', ends: 1 });
    for (const status of [204, 304]) {
      expect(whole(`HTTP/1.1 ${status} x\r\ncontent-length: 7\r\n\r\n`)).toMatchObject({ body: '', ends: 1 });
    }
    const answer = Buffer.from(`${ok}content-length: 7\r\n\r\n`);
    expect(read([answer], { head: true })).toMatchObject({
      body: '',
      ends: 1,
      heads: [[200, { 'content-length': '7' }]],
    });
  });

  it('reads headers: names in lower case, values without blanks around them, several of one name', () => {
    const { heads } = whole(`${ok}A: 1\r\nb:\t 2 \t\r\na: 3\r\na:\r\nc: \xfc\r\ncontent-length: 0\r\n\r\n`);
    expect(heads).toEqual([[200, { a: ['1', '3', ''], b: '2', c: '\xfc', 'content-length': '0' }]]);
  });

  it('passes informational answers on before the answer', () => {
    const { heads, body } = whole(`HTTP/1.1 103 Early\r\nlink: x\r\n\r\n${ok}content-length: 1\r\n\r\na`);
    expect(heads.map(([status]) => status)).toEqual([103, 200]);
    expect(body).toBe('a');
  });

  it('counts bytes after the end, and does not parse them', () => {
    expect(whole(`${ok}content-length: 1\r\n\r\naHTTP/1.1 500 no\r\n\r\n`)).toMatchObject({
      body: 'a',
      ends: 1,
      excess: 19,
    });
    expect(whole(`${ok}transfer-encoding: chunked\r\n\r\n0\r\n\r\nxyz`)).toMatchObject({ ends: 1, excess: 3 });
  });

  it('reports whether the connection can be reused', () => {
    const keepOf = (head: string): unknown => {
      const reader = new HttpAnswerReader({ head: () => undefined, body: () => undefined, end: () => undefined });
      reader.begin(false);
      reader.push(Buffer.from(`${head}\r\n\r\n`));
      return reader.keepAlive;
    };
    expect(keepOf(`${ok}content-length: 0`)).toEqual({ keep: true, idleMs: null });
    expect(keepOf(`${ok}content-length: 0\r\nkeep-alive: timeout=5, max=9`)).toEqual({ keep: true, idleMs: 5000 });
    expect(keepOf(`${ok}content-length: 0\r\nconnection: Close`)).toMatchObject({ keep: false });
    expect(keepOf('HTTP/1.0 200 OK\r\ncontent-length: 0')).toMatchObject({ keep: false });
    expect(keepOf('HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0')).toMatchObject({ keep: true });
    expect(keepOf('HTTP/1.1 200 OK')).toMatchObject({ keep: false });
  });

  it.each([
    ['no status line', 'hello\r\n\r\n'],
    ['another protocol', 'HTTP/2 200 OK\r\n\r\n'],
    ['another protocol, long before the end of a head', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['a short status', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['100, which nobody asked for', 'HTTP/1.1 100 Continue\r\n\r\n'],
    ['101, which nobody asked for', 'HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'],
    ['a header without a colon', `${ok}abc\r\n\r\n`],
    ['a folded header', `${ok}a: 1\r\n b\r\n\r\n`],
    ['a blank before the colon', `${ok}a : 1\r\n\r\n`],
    ['a NUL in a header', `${ok}a: \0\r\n\r\n`],
    ['a bare line feed', `${ok}a: 1\nb: 2\r\n\r\n`],
    ['bare line feeds only', 'HTTP/1.1 200 OK\ncontent-length: 0\n\n'],
    ['two lengths', `${ok}content-length: 1\r\ncontent-length: 1\r\n\r\n`],
    ['a length that is no number', `${ok}content-length: +1\r\n\r\n`],
    ['a length and chunks', `${ok}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n`],
    ['a size that is no number', `${ok}transfer-encoding: chunked\r\n\r\nxyz\r\n`],
    ['an empty size', `${ok}transfer-encoding: chunked\r\n\r\n\r\n`],
    ['a huge size', `${ok}transfer-encoding: chunked\r\n\r\n${'f'.repeat(14)}\r\n`],
    ['a negative size', `${ok}transfer-encoding: chunked\r\n\r\n-1\r\n`],
    ['a chunk longer than its size', `${ok}transfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n`],
    ['a chunk without a line end', `${ok}transfer-encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n`],
    [
      'a long size line',
      `${ok}transfer-encoding: chunked\r\n\r\n1;${'x'.repeat(HttpAnswerReader.sizeLineBytesMax + 1)}`,
    ],
    ['a line feed in an extension', `${ok}transfer-encoding: chunked\r\n\r\n1;a\nb\r\n`],
    ['a trailer with a bare line feed', `${ok}transfer-encoding: chunked\r\n\r\n0\r\na: 1\n\r\n`],
    ['giant headers', `${ok}a: ${'x'.repeat(HttpAnswerReader.headBytesMax)}`],
    ['giant headers that end', `${ok}a: ${'x'.repeat(HttpAnswerReader.headBytesMax)}\r\n\r\n`],
    ['informational answers without an end', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(1000)],
    [
      'giant trailers',
      `${ok}transfer-encoding: chunked\r\n\r\n0\r\n${'a: 1\r\n'.repeat(HttpAnswerReader.headBytesMax / 4 + 1)}`,
    ],
  ])('refuses %s, at once and cut anywhere', (_, text) => {
    const bytes = Buffer.from(text, 'latin1');
    expect(whole(text)).toMatchObject({ fault: expect.any(String), ends: 0 });
    expect(read([...bytes].map((byte) => Buffer.from([byte])))).toMatchObject({ fault: expect.any(String), ends: 0 });
  });

  it('delivers the body before a fault', () => {
    expect(whole(`${ok}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz`)).toMatchObject({
      body: 'abc',
      fault: expect.any(String),
    });
  });

  it('can be stopped by its sink', () => {
    let bodies = 0;
    const reader: HttpAnswerReader = new HttpAnswerReader({
      head: () => reader.stop(),
      body: () => {
        bodies += 1;
      },
      end: () => {
        bodies += 1;
      },
    });
    reader.begin(false);
    reader.push(Buffer.from(`${ok}content-length: 1\r\n\r\na`));
    expect(bodies).toBe(0);
    expect(reader.idle).toBe(true);
  });

  it('reads an answer the same way however it is cut', () => {
    const chunkText = fc.string({ minLength: 1, maxLength: 40 }).map((text) => Buffer.from(text).toString('latin1'));
    const chunked = fc
      .tuple(fc.array(chunkText), fc.constantFrom('', ';a=b', ' '), fc.constantFrom('', 'x: y\r\n'))
      .map(([chunks, extension, trailers]) => ({
        text: `${ok}transfer-encoding: chunked\r\n\r\n${chunks
          .map((chunk) => `${chunk.length.toString(16)}${extension}\r\n${chunk}\r\n`)
          .join('')}0${extension}\r\n${trailers}\r\n`,
        body: chunks.join(''),
      }));
    const sized = chunkText.map((body) => ({ text: `${ok}Content-Length: ${body.length}\r\n\r\n${body}`, body }));
    fc.assert(
      fc.property(
        fc.oneof(chunked, sized),
        fc.infiniteStream(fc.integer({ min: 1, max: 30 })),
        ({ text, body }, cuts) => {
          const bytes = Buffer.from(text, 'latin1');
          const pieces: Buffer[] = [];
          for (let at = 0; at < bytes.length; ) {
            const length = cuts.next().value as number;
            pieces.push(bytes.subarray(at, at + length));
            at += length;
          }
          for (const way of [[bytes], pieces, [...bytes].map((byte) => Buffer.from([byte]))]) {
            const told = read(way);
            expect(told).toMatchObject({ body, ends: 1, fault: null, excess: 0 });
            expect(Math.max(0, ...told.bodyCalls)).toBeLessThanOrEqual(1);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('survives any bytes', () => {
    const start = fc.constantFrom('', ok, `${ok}transfer-encoding: chunked\r\n\r\n`, `${ok}content-length: 5\r\n\r\n`);
    fc.assert(
      fc.property(start, fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 8 }), (text, rest) => {
        const told = read([Buffer.from(text), ...rest.map((bytes) => Buffer.from(bytes))]);
        expect(told.ends).toBeLessThanOrEqual(1);
      }),
      { numRuns: 500 },
    );
  });
});

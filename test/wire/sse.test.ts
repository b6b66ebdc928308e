import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SseSplitter } from '../../src/wire/sse.ts';

function split(...pieces: readonly (string | Buffer)[]): string[] {
  const events: string[] = [];
  const splitter = new SseSplitter((data) => events.push(data));
  for (const piece of pieces) splitter.push(Buffer.from(piece as string));
  return events;
}

/** Splits the whole text at once by the HTML standard, as far as it is used here. */
function splitNaively(text: string): string[] {
  const events: string[] = [];
  let data: string[] = [];
  const lines = text.split('\n');
  for (const line of lines.slice(0, -1).map((raw) => raw.replace(/\r$/, ''))) {
    if (line === '' && data.length > 0) {
      events.push(data.join('\n'));
      data = [];
    } else if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''));
  }
  return events;
}

describe('SseSplitter', () => {
  it('returns the data of each event', () => {
    expect(split('data: one\n\ndata:two\n\n')).toEqual(['one', 'two']);
    expect(split('data:  kept\n\n')).toEqual([' kept']);
    expect(split('data:\n\n')).toEqual(['']);
  });

  it('joins several lines of data', () => {
    expect(split('data: one\ndata: two\n\n')).toEqual(['one\ntwo']);
  });

  it('skips comments, other fields, and events without data', () => {
    expect(split(': ping\n\nevent: x\nid: 7\n\nretry: 1\ndata: a\n\ndatum: b\n\n')).toEqual(['a']);
  });

  it('waits for the blank line', () => {
    expect(split('data: a\n')).toEqual([]);
    expect(split('data: a\n', '\n')).toEqual(['a']);
    expect(split('data: a\r\n', '\r', '\n')).toEqual(['a']);
  });

  it('refuses an endless event', () => {
    const splitter = new SseSplitter(() => undefined);
    const piece = Buffer.alloc(SseSplitter.eventBytesMax / 4 + 1, 'x');
    for (let i = 0; i < 3; i++) splitter.push(piece);
    expect(() => splitter.push(piece)).toThrow(RangeError);

    const lines = new SseSplitter(() => undefined);
    const line = Buffer.from(`data: ${'x'.repeat(SseSplitter.eventBytesMax / 4)}\n`);
    for (let i = 0; i < 4; i++) lines.push(line);
    expect(() => lines.push(line)).toThrow(RangeError);
  });

  it('skips an event that is longer than the limit, and reports its end', () => {
    const long = (ending: string): string[] => [
      `data: ${'x'.repeat(200)}${ending}${ending}`,
      `data: ${'x'.repeat(60)}${ending}data: ${'y'.repeat(60)}${ending}: c${ending}${ending}`,
      `data:${ending}data: ${'y'.repeat(120)}${ending}data: z${ending}${ending}`,
    ];
    for (const text of [...long('\n'), ...long('\r\n')]) {
      for (const pieceBytes of [1, 2, 7, 64, 1000]) {
        const seen: string[] = [];
        let heldBytes = 0;
        let heldBytesMax = 0;
        const splitter = new SseSplitter((data) => seen.push(data), {
          keptBytesMax: 100,
          onLong: () => seen.push('long'),
          hold: {
            take: (bytes) => {
              heldBytes += bytes;
              heldBytesMax = Math.max(heldBytesMax, heldBytes);
            },
            give: (bytes) => {
              heldBytes -= bytes;
            },
          },
        });
        const bytes = Buffer.from(`data: a\n\n${text}data: b\n\n${text}data: c\n\n`);
        for (let at = 0; at < bytes.length; at += pieceBytes) splitter.push(bytes.subarray(at, at + pieceBytes));
        expect(seen).toEqual(['a', 'long', 'b', 'long', 'c']);
        expect(heldBytesMax).toBeLessThan(1000);
        // The small buffer for incomplete lines.
        expect(heldBytes).toBeLessThanOrEqual(256);
      }
    }
  });

  it('fails if the memory hold throws', () => {
    let heldBytes = 0;
    const hold = {
      take: (bytes: number) => {
        if (heldBytes + bytes > 10_000) throw new TypeError('full');
        heldBytes += bytes;
      },
      give: (bytes: number) => {
        heldBytes -= bytes;
      },
    };
    const endless = (piece: string) => () => {
      heldBytes = 0;
      const splitter = new SseSplitter(() => undefined, { hold });
      for (let i = 0; i < 1000; i++) splitter.push(Buffer.from(piece));
    };
    expect(endless('x'.repeat(100))).toThrow(TypeError);
    expect(endless('data: xyz\n')).toThrow(TypeError);
    expect(endless('data:\n')).toThrow(TypeError);
    expect(endless('data: xyz\n\n')).not.toThrow();
  });

  it('finds the same events wherever the bytes are cut', () => {
    const line = fc.oneof(
      fc.string({ unit: 'binary' }).map((text) => `data: ${text.replace(/[\r\n]/g, '')}`),
      fc.constantFrom('', '', ': c', 'data:', 'data:x', 'data: é🧭', 'event: e', 'data', 'dat: x'),
    );
    const text = fc
      .array(fc.tuple(line, fc.constantFrom('\n', '\r\n')), { maxLength: 20 })
      .map((lines) => lines.flat().join(''));
    fc.assert(
      fc.property(text, fc.infiniteStream(fc.integer({ min: 1, max: 12 })), (whole, cuts) => {
        const bytes = Buffer.from(whole);
        const pieces: Buffer[] = [];
        for (let at = 0; at < bytes.length; ) {
          const length = cuts.next().value as number;
          pieces.push(bytes.subarray(at, at + length));
          at += length;
        }
        const expected = splitNaively(bytes.toString());
        expect(split(...pieces)).toEqual(expected);
        expect(split(...[...bytes].map((byte) => Buffer.from([byte])))).toEqual(expected);
      }),
    );
  });
});

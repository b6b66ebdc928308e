import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lengthOfJson, noLength } from '../../src/wire/body-length.ts';
import { readMultipartModel } from '../../src/wire/multipart-model.ts';
import { naiveBodyLength } from '../model/naive-body-length.ts';

describe('the length of a body', () => {
  it.each([
    [{ model: 'long name', input: 'héllo' }, { textBytes: 6 }],
    [{ input: ['ab', 'c'], dimensions: 7, normalize: true, user: null }, { textBytes: 3 }],
    [{ input: [1, 2, 3] }, { tokens: 3 }],
    [{ input: [[1, 2], [3]] }, { tokens: 3 }],
    [
      { messages: [{ content: [{ text: 'ab' }, { image_url: { url: 'data:image/png;base64,AAAA' } }] }] },
      { textBytes: 2, otherParts: 1 },
    ],
    // The query is computed with each document.
    [{ query: 'abc', documents: ['d', 'e', 'f'] }, { textBytes: 3 + 3 + 2 * 3 }],
    [{ text_1: 'abc', text_2: ['d', 'e'] }, { textBytes: 3 + 2 + 3 }],
    [{ query: 'abc', documents: [] }, { textBytes: 3 }],
    [{ text_1: ['a'], text_2: ['b'] }, { textBytes: 2 }],
  ])('%j is %j', (body, length) => {
    expect(lengthOfJson(body)).toEqual({ ...noLength, ...length });
  });

  it('equals its naive twin', () => {
    const body = fc.dictionary(fc.constantFrom('input', 'messages', 'prompt', 'x'), fc.jsonValue({ maxDepth: 5 }));
    fc.assert(
      fc.property(body, (given) => {
        expect(lengthOfJson(given)).toEqual(naiveBodyLength(given));
      }),
      { numRuns: 300 },
    );
  });

  it('does not depend on the depth of the stack', () => {
    let deep: unknown = 'x';
    for (let depth = 0; depth < 100_000; depth++) deep = [deep];
    expect(lengthOfJson({ input: deep })).toEqual({ ...noLength, textBytes: 1 });
  });
});

it('the length of a form is that of its file and its texts', () => {
  const part = (head: string, content: string): string =>
    `--xx\r\nContent-Disposition: form-data; ${head}\r\n\r\n${content}\r\n`;
  const form = [
    part('name="model"', 'whisper'),
    part('name="file"; filename="a.wav"', 'x'.repeat(1000)),
    part('name="prompt"', 'abc'),
    '--xx--\r\n',
  ].join('');
  expect(readMultipartModel(Buffer.from(form), 'multipart/form-data; boundary=xx')).toEqual({
    kind: 'model',
    model: 'whisper',
    span: { start: form.indexOf('whisper'), end: form.indexOf('whisper') + 'whisper'.length },
    length: { ...noLength, fileBytes: 1000, textBytes: 3 },
  });
});

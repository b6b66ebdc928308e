import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readMultipartModel } from '../../src/wire/multipart-model.ts';
import { renameFormModel, renameJsonModel } from '../../src/wire/rename-model.ts';

const space = fc.constantFrom('', ' ', '\n', '\r\n\t');
/** As a writer of another language might write it. */
const values = fc.oneof(
  fc.json(),
  fc.constantFrom('1e400', '12345678901234567890', '-0', '1.0', '[1.50,{"model":"inner"}]', '"\\u006dodel"', 'null'),
);

describe('the model in JSON', () => {
  it('is replaced, and no other byte', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.string(), values, space), { maxLength: 5 }),
        fc.nat(),
        fc.string(),
        fc.string({ unit: 'binary' }),
        space,
        (members, at, before, after, gap) => {
          const written = members
            .filter(([name]) => name !== 'model')
            .map(([name, value, inner]) => `${JSON.stringify(name)}${inner}:${inner}${value}${gap}`);
          const place = at % (written.length + 1);
          const bodyWith = (model: string): string => {
            const all = [...written.slice(0, place), `"model"${gap}:${gap}${model}${gap}`, ...written.slice(place)];
            return `${gap}{${gap}${all.join(`,${gap}`)}}${gap}`;
          };
          const renamed = renameJsonModel(Buffer.from(bodyWith(JSON.stringify(before))), after).toString('utf8');
          const written2 = JSON.parse(renamed) as { model: string };
          expect(written2.model).toBe(after);
          // Its own text apart, the body is what it was.
          const mark = '"\u0000mark"';
          const [head, tail] = bodyWith(mark).split(mark) as [string, string];
          expect(renamed.startsWith(head)).toBe(true);
          expect(renamed.endsWith(tail)).toBe(true);
          expect(JSON.parse(renamed.slice(head.length, renamed.length - tail.length))).toBe(after);
        },
      ),
    );
  });

  it.each(['{}', '{"model":null}', '{"inner":{"model":"a"}}', '{"messages":["\\"model\\":\\"a\\""]}'])(
    'is left alone in %s',
    (body) => {
      const bytes = Buffer.from(body);
      expect(renameJsonModel(bytes, 'b')).toBe(bytes);
    },
  );

  it('is found under an escaped name', () => {
    expect(renameJsonModel(Buffer.from('{"m\\u006fdel":"a","n":1.0}'), 'b').toString()).toBe(
      '{"m\\u006fdel":"b","n":1.0}',
    );
  });
});

it('the model in a form is replaced, and no other byte', () => {
  const form = (model: string): string =>
    [
      '--x',
      'Content-Disposition: form-data; name="file"; filename="a.wav"',
      '',
      'model\u0000\u00ff',
      '--x',
      'Content-Disposition: form-data; name="model"',
      '',
      model,
      '--x--',
      '',
    ].join('\r\n');
  const type = 'multipart/form-data; boundary=x';
  fc.assert(
    fc.property(fc.constantFrom('', 'a', 'whisper-1'), fc.constantFrom('b', 'größe', 'org/m:1'), (before, after) => {
      const body = Buffer.from(form(before));
      const reading = readMultipartModel(body, type);
      if (reading.kind !== 'model') throw new Error(reading.message);
      expect(renameFormModel(body, reading.span, after).toString()).toBe(form(after));
      expect(readMultipartModel(renameFormModel(body, reading.span, after), type)).toMatchObject({ model: after });
    }),
  );
});

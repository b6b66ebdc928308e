import { describe, expect, it } from 'vitest';
import { type ModelReading, readJsonModel } from '../../src/wire/json-model.ts';
import { readMultipartModel } from '../../src/wire/multipart-model.ts';

const isModel = (model: string | null) => expect.objectContaining({ kind: 'model', model }) as ModelReading;
const isWrong = (message: RegExp) => ({ kind: 'wrong', message: expect.stringMatching(message) as string });

describe('the model of a JSON body', () => {
  const read = (body: string | Buffer, type: string | null = 'application/json') =>
    readJsonModel(Buffer.from(body as string), type);

  it.each([
    ['{"model":"a"}', 'a'],
    [' {"input":{"model":"b"},"model" : "a"} ', 'a'],
    ['{"mod\\u0065l":"a"}', 'a'],
    ['{"model":"\\u0061"}', 'a'],
    ['{"input":"\\"model\\" \\"model\\"","model":"a"}', 'a'],
    ['{"tools":[{"model":1},{"model":2}],"model":"a"}', 'a'],
    ['{"model":null}', null],
    ['{}', null],
  ])('of %s is %j', (body, model) => {
    expect(read(body)).toEqual(isModel(model));
    for (const type of ['Application/JSON', 'application/json; charset=utf-8', 'application/json;charset="UTF-8"']) {
      expect(read(body, type)).toEqual(isModel(model));
    }
  });

  it.each<[string | Buffer, RegExp]>([
    ['', /not JSON/],
    ['{"model":"a","x":NaN}', /not JSON/],
    ['\ufeff{"model":"a"}', /not JSON/],
    [Buffer.from('{"model":"a"}', 'utf16le'), /not JSON/],
    [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), /not JSON/],
    ['"model"', /must be a JSON object/],
    ['[{"model":"a"}]', /must be a JSON object/],
    ['null', /must be a JSON object/],
    ['{"model":"a","model":"b"}', /twice/],
    ['{"model":"a","model":"a"}', /twice/],
    ['{"model":"a","mod\\u0065l":"b"}', /twice/],
    ['{"\\u006Dodel":"a","model":"b"}', /twice/],
    ['{"model":["a"]}', /must be a string/],
    ['{"model":7}', /must be a string/],
    [`{"model":"${'a'.repeat(2000)}"}`, /longer than 1024/],
  ])('of %j is refused', (body, message) => {
    expect(read(body)).toEqual(isWrong(message));
  });

  it.each([
    null,
    '',
    'text/plain',
    'application/jsonp',
    'application/json; charset=utf-16',
    'application/json; charset=utf-8; charset=utf-16',
    'application/json, text/plain',
    'multipart/form-data; boundary=x',
  ])('is refused for the content type %j', (type) => {
    expect(read('{"model":"a"}', type)).toEqual(isWrong(/content-type must be application\/json/));
  });
});

describe('the model of a form', () => {
  const type = 'multipart/form-data; boundary=xx';
  const part = (head: string, content: string): string => `--xx\r\n${head}\r\n\r\n${content}\r\n`;
  const field = (name: string, content: string): string =>
    part(`Content-Disposition: form-data; name="${name}"`, content);
  const file = part(
    'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav',
    'RIFF\r\n--x\r\n\r\nname="model"\0',
  );
  const read = (body: string, contentType: string | null = type) =>
    readMultipartModel(Buffer.from(body, 'latin1'), contentType);

  it.each([
    [`${file}${field('model', 'a')}--xx--\r\n`, 'a'],
    [`${field('model', 'a')}${file}--xx--`, 'a'],
    [`${field('model', '')}--xx--`, ''],
    [`${part('content-disposition:form-data;name="model"', 'org/a')}--xx--`, 'org/a'],
    [`${file}--xx--`, null],
    ['--xx--', null],
    [`${part('Content-Disposition: form-data; name="file"; filename*=utf-8\'\'model', 'x')}--xx--`, null],
  ])('of %j is %j', (body, model) => {
    expect(read(body)).toEqual(isModel(model));
    expect(read(body, 'Multipart/Form-Data; boundary="xx"')).toEqual(isModel(model));
  });

  it.each([
    [`${field('model', 'a')}${field('model', 'b')}--xx--`, /twice/],
    [`${field('model', 'a')}${field('Model', 'b')}--xx--`, /twice/],
    [`preamble\r\n${field('model', 'a')}--xx--`, /must begin with its boundary/],
    [field('model', 'a'), /not followed by a line end|does not end/],
    [`--xx \r\nContent-Disposition: form-data; name="model"\r\n\r\na\r\n--xx--`, /not followed by a line end/],
    [`--xx\nContent-Disposition: form-data; name="model"\n\na\n--xx--`, /not followed by a line end/],
    [`${part('Content-Disposition: form-data; name=model', 'a')}--xx--`, /no readable content-disposition/],
    [`${part('Content-Disposition: form-data; name="mod\\el"', 'a')}--xx--`, /no readable content-disposition/],
    [`${part('Content-Disposition: form-data; name="mod%65l"', 'a')}--xx--`, /no readable content-disposition/],
    [`${part('Content-Disposition: form-data; name="x"; name="model"', 'a')}--xx--`, /no readable content-disposition/],
    [
      `${part('Content-Disposition: form-data; name="x"; name*=utf-8\'\'model', 'a')}--xx--`,
      /no readable content-disposition/,
    ],
    [
      `${part('Content-Disposition: form-data; name="x"\r\nContent-Disposition: form-data; name="model"', 'a')}--xx--`,
      /no readable content-disposition/,
    ],
    [`${part('Content-Disposition: form-data;\r\n name="model"', 'a')}--xx--`, /no readable content-disposition/],
    [`${part('Content-Type: text/plain', 'a')}--xx--`, /no readable content-disposition/],
    [`${part(`Content-Disposition: form-data; name="model"\r\nX: ${'a'.repeat(5000)}`, 'a')}--xx--`, /more than 4096/],
    [`${field('a', 'a').repeat(65)}--xx--`, /more than 64 parts/],
    [`${field('model', 'a'.repeat(2000))}--xx--`, /longer than 1024/],
    [`${field('model', '\xff')}--xx--`, /not UTF-8/],
    ['', /must begin/],
  ])('of %j is refused', (body, message) => {
    expect(read(body)).toEqual(isWrong(message));
  });

  it.each([
    null,
    'application/json',
    'multipart/form-data',
    'multipart/form-data; boundary=xx; boundary=yy',
    'multipart/mixed; boundary=xx',
    'multipart/form-data; boundary=',
  ])('is refused for the content type %j', (contentType) => {
    expect(read(`${field('model', 'a')}--xx--`, contentType)).toEqual(isWrong(/content-type must be multipart/));
  });
});

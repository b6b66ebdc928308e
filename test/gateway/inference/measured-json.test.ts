import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readMeasuredJson } from '../../../src/gateway/inference/measured-json.ts';
import { jsonNameCharsMax, jsonValuesMax } from '../../../src/tokens/json-values.ts';
import { noLength } from '../../../src/wire/body-length.ts';
import { type ModelReading, readJsonModel } from '../../../src/wire/json-model.ts';

const type = 'application/json';
/** More than is parsed in one go. */
const blanks = ' '.repeat(140_000);

async function read(body: string | Buffer): Promise<{ readonly reading: ModelReading; readonly turns: number }> {
  let turns = 0;
  const reading = await readMeasuredJson(Buffer.from(body as string), type, async () => {
    turns += 1;
  });
  return { reading, turns };
}

const refusal = (body: string | Buffer) => expect(read(body)).rejects;

describe('a large JSON body whose prompt is not tokenized', () => {
  it('is read as a small one', async () => {
    const lists = fc.oneof(fc.array(fc.nat()), fc.array(fc.array(fc.nat())), fc.array(fc.double({ noNaN: true })));
    const value = fc.oneof(fc.jsonValue({ maxDepth: 4 }), lists, fc.string({ unit: 'grapheme' }));
    const names = fc.constantFrom('model', 'input', 'query', 'documents', 'text_1', 'text_2', '__proto__', 'x');
    await fc.assert(
      fc.asyncProperty(fc.dictionary(names, value), fc.constantFrom('a', null, 7, undefined), async (given, model) => {
        const text = JSON.stringify({ ...given, model });
        expect((await read(blanks + text)).reading).toEqual(readJsonModel(Buffer.from(text), type));
      }),
      { numRuns: 300 },
    );
  });

  it('is read in several turns, however many members it has', async () => {
    const members = Array.from({ length: 100_000 }, (_, at) => `"x${at}":"a"`).join();
    const { reading, turns } = await read(`{${members},"model":"m"}`);
    expect(reading).toEqual({ kind: 'model', model: 'm', length: { ...noLength, textBytes: 100_000 } });
    expect(turns).toBeGreaterThan(10);
  });

  it('may have a million token ids', async () => {
    const { reading } = await read(`{"input":[[${'7,'.repeat(999_999)}7],[1]]}`);
    expect(reading).toEqual({ kind: 'model', model: null, length: { ...noLength, tokens: 1_000_001 } });
  });

  it('is refused if it can be read in two ways, is not UTF-8, or exceeds a limit', async () => {
    expect((await read(`${blanks}{"model":"a","mod\\u0065l":"a"}`)).reading).toMatchObject({ kind: 'wrong' });
    expect((await read(Buffer.from(`${blanks}{"model":"\xe9"}`, 'latin1'))).reading).toMatchObject({ kind: 'wrong' });
    await refusal(`\ufeff${blanks}{"model":"a"}`).toMatchObject({ status: 400, code: 'invalid_json' });
    await refusal(`${blanks}{"model":NaN}`).toMatchObject({ status: 400, code: 'invalid_json' });
    await refusal(`{"x":[${'{},'.repeat(jsonValuesMax)}{}]}`).toMatchObject({ status: 400, code: 'json_limit' });
    const named = (chars: number): string => `${blanks}{"${'n'.repeat(chars)}":1}`;
    await refusal(named(jsonNameCharsMax + 1)).toMatchObject({ status: 400, code: 'json_limit' });
    expect((await read(named(jsonNameCharsMax))).reading).toMatchObject({ kind: 'model' });
  });
});

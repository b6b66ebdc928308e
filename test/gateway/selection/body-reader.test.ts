// A large body is read by a thread as a small one is read here: padded with spaces, it says the same.

import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { BodyBudget } from '../../../src/gateway/exchange/body-budget.ts';
import { LimitReached } from '../../../src/gateway/exchange/limit-reached.ts';
import { TurnSlices } from '../../../src/gateway/exchange/turn-slices.ts';
import { readHereBytesMax } from '../../../src/gateway/inference/request-fields.ts';
import type { Asked } from '../../../src/gateway/selection/asked.ts';
import { BodyReader } from '../../../src/gateway/selection/body-reader.ts';
import { batchOperationsMax, excludedMax } from '../../../src/gateway/selection/shapes.ts';
import { JsonText } from '../../../src/tokens/exact-json.ts';
import { LongText } from '../../../src/tokens/long-text.ts';
import { RequestError } from '../../../src/wire/openai-error.ts';

const stays = { gone: false, whenGone: () => undefined };
const padding = Buffer.alloc(readHereBytesMax, ' ');
const deaths: unknown[] = [];
const log = { error: (what: unknown) => deaths.push(what) };
const makeReader = (): BodyReader => new BodyReader(new TurnSlices(4, () => performance.now()), log as never);
const reader = makeReader();
afterAll(() => reader.close());

/** Values that fields have or should not have, those of prompts among them. */
const value = fc.oneof(
  fc.constantFrom<unknown[]>(null, true, 1.5, 7, -1, 2 ** 60, '', 'x', 'ü'.repeat(3000), '\ud800', [], {}, [1, 2, 3]),
  fc.constantFrom<unknown[]>(
    Buffer.from(Uint32Array.from([1, 2, 3, 4]).buffer).toString('base64'),
    [{ role: 'user', content: 'text 🙂'.repeat(400) }],
    [{ role: 'user', content: [{ type: 'text', text: 'x' }] }, 7],
    { 16: [1, 2 ** 53, -5], 8: '' },
    { ttftMs: 5, tpotMs: [[[1.0]]] },
    new Array(excludedMax).fill('a'),
    new Array(excludedMax + 1).fill('a'),
    [new Array(excludedMax).fill('a')],
  ),
  fc.jsonValue({ maxDepth: 2 }),
);
const names = [
  'op',
  'tag',
  'id',
  'model',
  'salt',
  'tokens',
  'text',
  'messages',
  'blockHashes',
  'isl',
  'tools',
  'excluded',
];
const operation = fc.dictionary(
  fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...names, 'slo', 'documents', 'reasoning_effort') }, fc.string()),
  value,
  { maxKeys: 6 },
);
const promptAlone = fc
  .tuple(fc.constantFrom('tokens', 'text', 'messages', 'blockHashes'), value, operation)
  .map(([form, prompt, { tokens: _, text: _1, messages: _2, blockHashes: _3, ...rest }]) => ({
    ...rest,
    [form]: prompt,
  }));

function attempt(work: () => unknown): unknown {
  try {
    return written(work());
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    const { status, code, param, message } = error;
    return { status, code, param, message, limit: error instanceof LimitReached ? error.limit : null };
  }
}

/** As plain values, however it holds its texts. */
function written(given: unknown): unknown {
  if (given instanceof LongText) return given.toString();
  // A lone surrogate becomes U+FFFD on the way, as in every tokenizer.
  if (typeof given === 'string') return Buffer.from(given).toString();
  if (given instanceof JsonText) return Buffer.from(given.text).toString();
  if (ArrayBuffer.isView(given)) return [...(given as Uint32Array)];
  if (given instanceof Map) return [...given].map(written);
  if (Array.isArray(given)) return given.map(written);
  if (typeof given !== 'object' || given === null) return given;
  return Object.entries(given).map(([name, member]) => [name, written(member)]);
}

/** Texts of fields that are too long for any are cut by the thread. */
function cut(value: unknown): string | undefined {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner === 'bigint') return `${inner}n`;
    return typeof inner === 'string' ? Buffer.from(inner.slice(0, 2048)).toString() : inner;
  });
}

function everythingOf(asked: Asked): unknown {
  const all = [...asked.names()];
  const values = all.map((name) => [attempt(() => cut(asked.value(name))), cut(asked.text(name))]);
  return [all, values, attempt(() => asked.prompt())];
}

async function outcome(work: () => unknown): Promise<unknown> {
  try {
    const read = (await work()) as Asked | (Asked | null)[];
    return Array.isArray(read) ? read.map((one) => one && everythingOf(one)) : everythingOf(read);
  } catch (error) {
    return attempt(() => {
      throw error;
    });
  }
}

describe('a large body', () => {
  it('asks what the same small body asks', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(operation, promptAlone), async (asked) => {
        const small = Buffer.from(JSON.stringify(asked));
        fc.pre(small.length < readHereBytesMax);
        const here = await outcome(() => reader.operation(small, null, stays));
        const there = await outcome(() => reader.operation(Buffer.concat([small, padding]), null, stays));
        expect(there).toEqual(here);
      }),
      { numRuns: 150 },
    );
  }, 120_000);

  it('is the same batch', async () => {
    const batch = fc.oneof(
      fc.array(fc.oneof(operation, promptAlone, value), { maxLength: 5 }).map((operations) => ({ operations })),
      fc.constant({ operations: new Array(batchOperationsMax + 1).fill({}) }),
      operation,
    );
    await fc.assert(
      fc.asyncProperty(batch, async (asked) => {
        const small = Buffer.from(JSON.stringify(asked));
        fc.pre(small.length < readHereBytesMax);
        const here = await outcome(() => reader.batch(small, null, stays));
        const there = await outcome(() => reader.batch(Buffer.concat([small, padding]), null, stays));
        expect(there).toEqual(here);
      }),
      { numRuns: 80 },
    );
  }, 120_000);

  it.each([
    ['no JSON', '{"text":', 'invalid_json'],
    ['no object', '[]', 'invalid_json'],
    ['nested too deeply', `{"text":${'['.repeat(600)}`, 'json_limit'],
  ])('is refused: %s', async (_, text, code) => {
    const small = Buffer.from(text);
    const here = await outcome(() => reader.operation(small, null, stays));
    expect(here).toMatchObject({ status: 400, code });
    expect(await outcome(() => reader.operation(Buffer.concat([padding, small]), null, stays))).toMatchObject({
      status: 400,
      code,
    });
  });

  it('takes memory before it is read, and none where there is none', async () => {
    const body = Buffer.from(JSON.stringify({ text: 'x'.repeat(2_000_000) }));
    const roomy = new BodyBudget(() => 100_000_000);
    const lease = roomy.lease();
    lease.growTo(body.length);
    await reader.operation(body, lease, stays);
    expect(roomy.heldBytes).toBeGreaterThanOrEqual(2 * body.length);
    const full = new BodyBudget(() => 2_000_000).lease();
    expect(await outcome(() => reader.operation(body, full, stays))).toMatchObject({ limit: 'bodiesBytesMax' });
  });

  it('is refused with 503 once the gateway stops', async () => {
    const stopped = makeReader();
    await stopped.close();
    const body = Buffer.concat([Buffer.from('{"text":"x"}'), padding]);
    const refused = await outcome(() => stopped.operation(body, null, stays));
    expect(refused).toMatchObject({ status: 503, code: 'body_unread' });
    expect(deaths).toEqual([]);
  });
});

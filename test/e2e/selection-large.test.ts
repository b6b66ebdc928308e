// Large bodies of the selection service: read by a thread, answered like small ones, and no long turn of the loop.

import { afterEach, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { readHereBytesMax } from '../../src/gateway/inference/request-fields.ts';
import { Harness } from './harness.ts';
import { longestTurnMs } from './longest-turn.ts';

const harness = new Harness();
afterEach(() => harness.end());

const padding = ' '.repeat(readHereBytesMax);
/** Limit of a turn in ms; `slack` allows for machines that are five times slower. */
const turnMsMax = 50;
const slack = 5;

async function started(): Promise<Gateway> {
  const engines = await harness.engines(2);
  return harness.gateway({
    ...{ workers: engines.map(({ url }) => url), selection: true, tokenizer: 'builtin', trustTokenizer: true },
  });
}

async function send(gateway: Gateway, path: string, body: string): Promise<{ status: number; text: string }> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(gateway.url + path, { method: 'POST', headers, body });
  return { status: response.status, text: await response.text() };
}

const operations = [
  { op: 'select', text: 'a text' },
  { op: 'select', text: 'a text', excluded: ['http://nowhere#0'], temperature: 0, slo: { ttftMs: 1.5 } },
  { op: 'overlap', messages: [{ role: 'user', content: 'hello' }], tools: [{ type: 'function' }] },
  { op: 'potential-loads', tokens: Array.from({ length: 50 }, (_, id) => id) },
  { op: 'overlap', isl: 33, blockHashes: { 16: [1, 2], 1: Buffer.alloc(33 * 8).toString('base64') } },
  { op: 'overlap', isl: 33, blockHashes: { 16: [1] } },
  { op: 'select', text: 'a', tokens: [1] },
  { op: 'select', text: 'a', isl: 3 },
  { op: 'select', text: '' },
  { op: 'select', text: 'a', wrong: 1 },
  { op: 'select', text: 'a', model: 'unknown' },
  { op: 'output', id: 'none', tokens: 5 },
  { op: 'output', id: 'none', tokens: 'many' },
  { op: 'delete', id: 'none', wrong: 1 },
  { op: ['select'] },
];

it('are answered like small ones', async () => {
  const gateway = await started();
  for (const { op, ...body } of operations) {
    if (typeof op !== 'string' || !['select', 'overlap', 'potential-loads'].includes(op)) continue;
    const small = await send(gateway, `/${op}`, JSON.stringify(body));
    expect(await send(gateway, `/${op}`, JSON.stringify(body) + padding), JSON.stringify(body)).toEqual(small);
  }
  const batch = JSON.stringify({ operations });
  expect(await send(gateway, '/batch', batch + padding)).toEqual(await send(gateway, '/batch', batch));
  const lines = operations.map((one, tag) => ({ ...one, tag }));
  const texts = [lines, lines.map((one) => JSON.stringify(one) + padding)];
  const answers = await Promise.all(
    texts.map(async (some) => {
      const body = some.map((one) => `${typeof one === 'string' ? one : JSON.stringify(one)}\n`).join('');
      return (await send(gateway, '/connection', body)).text.split('\n').sort();
    }),
  );
  expect(answers[1]).toEqual(answers[0]);
  expect(answers[0]!.filter((line) => line.includes('"status":200'))).toHaveLength(5);
}, 60_000);

it('keep every turn short, with a prompt of thirty megabytes', async () => {
  const gateway = await started();
  const text = 'a long text — with some numbers 12345, and names.\n'.repeat(570_000);
  const longest: number[] = [];
  for (let round = 0; round < 3; round++) {
    const body = JSON.stringify({ text: `${round} ${text}` });
    longest.push(
      await longestTurnMs(async () => {
        expect((await send(gateway, '/select', body)).status).toBe(200);
      }),
    );
  }
  expect(Math.min(...longest)).toBeLessThan(turnMsMax * slack);
}, 120_000);

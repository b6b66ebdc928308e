// Prompts that take long to tokenize: other clients are answered first, and tokenizing ends when the client leaves.

import { request as httpRequest } from 'node:http';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { type Answer, eventually, Harness, post } from '../e2e/harness.ts';
import { tokenizerFolder, wordLevel } from '../tokens/hugging-face-files.ts';
import { size } from './attack-size.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(() => harness.end());

async function started(tokenizer: string): Promise<Gateway> {
  const engine = await harness.engine();
  return harness.gateway({ workers: [engine.url], tokenizer, trustTokenizer: true }, 1);
}

/** Different words that are not single tokens. */
function words(chars: number, seed: number): string {
  const parts: string[] = [];
  for (let length = 0, i = seed * 7919; length < chars; i++) {
    const word = ` ${(i * 2_654_435_761) % 1_000_003}x${i.toString(36)}`;
    parts.push(word);
    length += word.length;
  }
  return parts.join('').slice(0, chars);
}

/** Names in order of their answers' arrival. */
async function orderOf(answers: Readonly<Record<string, Promise<Answer>>>): Promise<string[]> {
  const order: string[] = [];
  await Promise.all(
    Object.entries(answers).map(async ([name, answer]) => {
      expect((await answer).status).toBe(200);
      order.push(name);
    }),
  );
  return order;
}

const complete = (gateway: Gateway, prompt: unknown): Promise<Answer> => post(gateway, '/v1/completions', { prompt });

it('answers short prompts while a batch of long ones waits in the thread', async () => {
  const gateway = await started('builtin');
  const prompts = Array.from({ length: size(480, 40) }, (_, i) => words(65_000, i));
  const batch = complete(gateway, prompts);
  const order = await orderOf({ batch, short: complete(gateway, 'hi'), long: complete(gateway, words(70_000, 999)) });
  expect(order).toEqual(['short', 'long', 'batch']);
}, 120_000);

it('reads and renders a chat of very many messages without delaying short ones', async () => {
  const gateway = await started('builtin');
  const messages = Array.from({ length: 19_000 }, (_, i) => ({ role: 'user', content: `x${i}` }));
  const chat = (list: readonly object[]): Promise<Answer> => post(gateway, '/v1/chat/completions', { messages: list });
  const order = await orderOf({ many: chat(messages), one: chat(messages.slice(0, 1)) });
  expect(order).toEqual(['one', 'many']);
}, 120_000);

it('tokenizes a long prompt with the library without delaying short ones', async () => {
  const folder = tokenizerFolder({ 'tokenizer.json': wordLevel });
  const gateway = await started(folder.path);
  await complete(gateway, 'hello');
  const long = 'hello world '.repeat(size(80_000, 40_000));
  const order = await orderOf({ long: complete(gateway, long), short: complete(gateway, 'hello') });
  expect(order).toEqual(['short', 'long']);
  folder.remove();
}, 120_000);

it('stops tokenizing when the client has left', async () => {
  const gateway = await started('builtin');
  const body = JSON.stringify({ prompt: Array.from({ length: size(400, 100) }, (_, i) => words(70_000, i)) });
  const leaving = httpRequest(`${gateway.url}/v1/completions`, { method: 'POST' }).on('error', () => undefined);
  leaving.end(body);
  await eventually(() => leaving.writableFinished, 30_000);
  leaving.destroy();
  // As long as the batch, so that it would be queued after it.
  const prompts = Array.from({ length: 3 }, (_, i) => words(70_000, 5000 + i));
  expect((await complete(gateway, prompts)).status).toBe(200);
  const failures = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  expect(failures).not.toContain('kvoyant_tokenizer_failures_total{code="cancelled"}');
}, 120_000);

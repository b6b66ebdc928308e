import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { Exchange } from '../../../src/gateway/exchange/exchange.ts';
import { jsonType, listPieces, replyInTurns } from '../../../src/gateway/exchange/reply-in-turns.ts';
import { TurnSlices } from '../../../src/gateway/exchange/turn-slices.ts';

let server: Server;
afterEach(() => server.closeAllConnections());

/** A server of one list. @returns the answer, of which nothing is read yet, and the end of the reply */
async function ask(items: Iterable<unknown>): Promise<{ answer: IncomingMessage; replied: Promise<void> }> {
  const slices = new TurnSlices(4, () => performance.now());
  let replied: Promise<void> = Promise.resolve();
  server = createServer((request, response) => {
    replied = replyInTurns(slices, new Exchange(request, response), jsonType, listPieces('list', items), {
      'x-a': 'b',
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const [answer] = (await once(get({ port, agent: false }), 'response')) as [IncomingMessage];
  return { answer, replied };
}

async function textOf(answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of answer.setEncoding('utf8')) text += piece;
  return text;
}

it.each([[[]], [[{ a: 1 }]], [['x', null, 3]]])('sends a short list whole: %j', async (list) => {
  const { answer } = await ask(list);
  const text = JSON.stringify({ list });
  expect(answer.headers).toMatchObject({
    'content-type': 'application/json',
    'content-length': `${text.length}`,
    'x-a': 'b',
  });
  expect(await textOf(answer)).toBe(text);
});

it('makes a long list no faster than its client reads', async () => {
  const item = 'ü'.repeat(10_000);
  let made = 0;
  function* items(): Generator<string> {
    for (; made < 3000; made++) yield item;
  }
  const { answer } = await ask(items());
  expect(answer.headers).toMatchObject({ 'content-type': 'application/json', 'x-a': 'b' });
  let before = -1;
  while (made !== before) {
    before = made;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(made).toBeLessThan(2000);
  expect(await textOf(answer)).toBe(JSON.stringify({ list: new Array(3000).fill(item) }));
});

it('ends with its client', async () => {
  let made = 0;
  function* items(): Generator<string> {
    for (;;) {
      made += 1;
      yield 'x'.repeat(10_000);
    }
  }
  const { answer, replied } = await ask(items());
  answer.destroy();
  await replied;
  expect(made).toBeGreaterThan(0);
});

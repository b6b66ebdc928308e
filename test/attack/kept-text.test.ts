// What the gateway remembers of requests (decisions, sessions, ids of reservations, salts) must not keep their bodies.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import type { FakeEngine } from '../e2e/fake-engine.ts';
import { atRest, Harness, post } from '../e2e/harness.ts';

/** V8 makes slices of names from 13 characters on. */
const model = 'some-organisation/some-model-8b-instruct';
const alias = 'a-name-of-that-model-for-clients';
const requests = 16;
const textLength = 400_000;
const harness = new Harness();
let gateway: Gateway;
let engine: FakeEngine;
beforeAll(async () => {
  engine = await harness.engine({ models: [model] });
  gateway = await harness.gateway({ workers: [engine.url], models: [`${alias}=${model}`], selection: true }, 1, [
    model,
  ]);
  engine.behaviour = ({ response }) => {
    engine.requests.length = 0;
    response.setHeader('content-type', 'application/json').end('{"usage":{"prompt_tokens":10,"completion_tokens":2}}');
  };
});
afterAll(async () => {
  await atRest(gateway);
  await harness.end();
});

function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

type Body = (name: string, text: string) => object;
const chat = { model, max_tokens: 2 };
const messages = (content: string) => [{ role: 'user', content }];

const bodies: readonly [what: string, path: string, body: Body][] = [
  ['the model of a chat', '/v1/chat/completions', (_, text) => ({ ...chat, messages: messages(text) })],
  ['an alias', '/v1/chat/completions', (_, text) => ({ ...chat, model: alias, messages: messages(text) })],
  ['the model of embeddings', '/v1/embeddings', (_, input) => ({ model, input })],
  ['a user', '/v1/completions', (user, prompt) => ({ ...chat, user, prompt })],
  ['a long user', '/v1/completions', (user, text) => ({ ...chat, user: `${user} ${text}`, prompt: 'x' })],
  ['a key for caches', '/v1/responses', (name, input) => ({ model, prompt_cache_key: name, input })],
  [
    "an agent's session",
    '/v1/messages',
    (name, text) => ({ ...chat, metadata: { user_id: name }, messages: messages(text) }),
  ],
  [
    'a long salt',
    '/v1/completions',
    (name, text) => ({ ...chat, cache_salt: name + text.slice(0, 60_000), prompt: text }),
  ],
  ['a salt', '/v1/completions', (name, text) => ({ ...chat, cache_salt: name, prompt: text })],
  [
    'an early deletion',
    '/batch',
    (name, text) => ({
      operations: [
        { op: 'delete', id: name },
        { op: 'overlap', model, text },
      ],
    }),
  ],
  ['a reservation', '/reserve', (id, text) => ({ id, model, text })],
];

it.each(bodies)('%s does not keep the body', async (_, path, body) => {
  const send = async (index: number): Promise<void> => {
    const name = `client-${path}-number-${index}`;
    const { status } = await post(gateway, path, body(name, `${index} ${'word '.repeat(textLength / 5)}`));
    expect(status).toBe(200);
    // A reservation that has ended is still remembered.
    if (path === '/reserve')
      await fetch(`${gateway.url}/reservations/${encodeURIComponent(name)}`, { method: 'DELETE' });
  };
  for (let index = 0; index < 4; index++) await send(index);
  const before = heapBytes();
  for (let index = 0; index < requests; index++) await send(100 + index);
  expect((heapBytes() - before) / requests).toBeLessThan(textLength / 4);
});

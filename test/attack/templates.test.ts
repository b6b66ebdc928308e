// Small requests that make a chat template write or do very much: refused by limit, while other requests are served.

import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { type Answer, Harness, post } from '../e2e/harness.ts';
import { type TokenizerFolder, tokenizerFolder, wordLevel } from '../tokens/hugging-face-files.ts';
import { size } from './attack-size.ts';

let harness: Harness;
let folder: TokenizerFolder;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
  folder.remove();
});

async function started(template: string): Promise<Gateway> {
  folder = tokenizerFolder({ 'tokenizer.json': wordLevel, 'chat_template.jinja': template });
  const engine = await harness.engine();
  return harness.gateway({ workers: [engine.url], tokenizer: folder.path, trustTokenizer: true }, 1);
}

const ask = (gateway: Gateway, chat: object | string): Promise<Answer> => post(gateway, '/v1/chat/completions', chat);
const hello = { messages: [{ role: 'user', content: 'hi' }] };

function expectLimited(answer: Answer, limit: string): void {
  expect(answer.status).toBe(400);
  const { error } = JSON.parse(answer.body) as { error: Record<string, unknown> };
  expect(error).toMatchObject({ code: 'template_limit', param: 'messages' });
  expect(error['message']).toContain(limit);
}

it('limits deeply nested tools that are written with an indent', async () => {
  const gateway = await started('{% for t in tools or [] %}{{ t | tojson(indent=4) }}{% endfor %}hello');
  // The allowed depth: 240 KB of this would render 100 MB.
  const nested = '['.repeat(480) + ']'.repeat(480);
  const tool = `{"type":"function","function":{"name":"f","parameters":{"a":${nested}}}}`;
  const body = `{"messages":[{"role":"user","content":"x"}],"tools":[${Array.from({ length: 240 }, () => tool)}]}`;
  const answers = await Promise.all(Array.from({ length: size(40, 2) }, () => ask(gateway, body)));
  for (const answer of answers) expectLimited(answer, 'templateCharsMax');
  expect((await ask(gateway, hello)).status).toBe(200);
});

it('limits nested loops over many messages', async () => {
  const gateway = await started(
    '{% for a in messages %}{% for b in messages %}{% for c in messages %}{% endfor %}{% endfor %}{% endfor %}hello',
  );
  const messages = Array.from({ length: 1000 }, () => ({ role: 'user', content: 'x' }));
  const answers = await Promise.all(Array.from({ length: size(20, 1) }, () => ask(gateway, { messages })));
  for (const answer of answers) expectLimited(answer, 'templateStepsMax');
  expect((await ask(gateway, hello)).status).toBe(200);
});

it('limits a text that doubles', async () => {
  const gateway = await started(
    '{% set ns = namespace(t=messages[0].content) %}{% for m in messages %}{% set ns.t = ns.t + ns.t %}{% endfor %}{{ ns.t }}',
  );
  const messages = Array.from({ length: 64 }, () => ({ role: 'user', content: 'hello' }));
  expectLimited(await ask(gateway, { messages }), 'templateCharsMax');
  expect((await ask(gateway, hello)).status).toBe(200);
});

it('refuses a chat with more messages than allowed', async () => {
  const gateway = await started('hello');
  const answer = await ask(gateway, { messages: Array.from({ length: 30_000 }, () => ({ role: 'user' })) });
  expect(answer.status).toBe(400);
  expect(answer.body).toContain('messagesMax');
});

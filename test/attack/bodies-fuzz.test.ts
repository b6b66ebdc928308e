// Bodies of every shape: each is answered with 2xx or 4xx, and none causes an error in the log.

import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { Harness, post } from '../e2e/harness.ts';
import { LogLines } from '../e2e/log-lines.ts';
import { size } from './attack-size.ts';

let harness: Harness;
let log: LogLines;
beforeEach(() => {
  harness = new Harness();
  log = new LogLines();
});
afterEach(() => harness.end());

const errorLevel = 50;

async function started(): Promise<Gateway> {
  const engine = await harness.engine();
  const options = { workers: [engine.url], tokenizer: 'builtin', trustTokenizer: true, logLevel: 'info' } as const;
  return harness.gateway(options, 1, ['fake'], { logTo: log });
}

async function expectTaken(gateway: Gateway, path: string, body: string): Promise<number> {
  const { status } = await post(gateway, path, body);
  expect(status, body.slice(0, 500)).toBeLessThan(500);
  expect(
    log.lines.filter(({ level }) => level >= errorLevel),
    body.slice(0, 500),
  ).toEqual([]);
  return status;
}

const members = [
  ...['model', 'messages', 'prompt', 'tools', 'n', 'stream', 'max_tokens', 'max_completion_tokens', 'cache_salt'],
  ...['add_special_tokens', 'add_generation_prompt', 'continue_final_message', 'chat_template', 'documents'],
  ...['chat_template_kwargs', 'reasoning_effort', 'mm_processor_kwargs', 'prompt_embeds', 'echo', 'logprobs'],
  ...['truncate_prompt_tokens', 'prompt_logprobs', 'priority', 'prompt_cache_key', 'user', 'stream_options'],
  ...['tool_choice', '__proto__', 'constructor', ''],
];
const inner = ['role', 'content', 'type', 'text', 'function', 'arguments', 'name', 'tool_calls', 'parameters', 'id'];
const odd = fc.constantFrom(
  ...['1e999', '-0', '1.0', '0.5', '123456789012345678901234567890', '"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"'],
  ...['[]', '{}', '[[]]', '[null]', '[{}]', '"user"', '"system"', '"developer"', '"assistant"', '"tool"', '"fake"'],
  ...['"text"', '"function"', '"{\\"a\\":1.0}"', '"{"', '{"__proto__":{"role":"user"}}', 'true', 'false', 'null', '""'],
  ...['"<|im_start|>"', '[{"type":"image_url"}]', '[0,1,2]', '[4294967296]', '[-1]', '["a",1]', '4096', '-1', '0'],
);
const { value } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    odd,
    fc.string({ maxLength: 8, unit: 'binary' }).map((text) => JSON.stringify(text)),
    fc.array(tie('value'), { maxLength: 3 }).map((items) => `[${items.join(',')}]`),
    object(inner, tie('value')),
  ),
}));

function object(names: readonly string[], of: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const member = fc.tuple(fc.constantFrom(...names), of).map(([name, text]) => `${JSON.stringify(name)}:${text}`);
  return fc.array(member, { maxLength: 5 }).map((texts) => `{${texts.join(',')}}`);
}

/** Mostly a valid prompt, so that the other members are checked too. */
const sound = fc.constantFrom(
  ['/v1/chat/completions', '"messages":[{"role":"user","content":"hi"}]'] as const,
  ['/v1/completions', '"prompt":"hi"'] as const,
  ['/v1/responses', '"input":"hi"'] as const,
  ['/v1/messages', '"messages":[{"role":"user","content":"hi"}]'] as const,
);
const call = '{"id":"c","type":"function","function":{"name":"f","arguments":';

it('survives bodies of arbitrary members', async () => {
  const gateway = await started();
  let served = 0;
  await fc.assert(
    fc.asyncProperty(sound, object(members, value), fc.boolean(), async ([path, prompt], body, isSound) => {
      const text = isSound ? body.replace('{', body === '{}' ? `{${prompt}` : `{${prompt},`) : body;
      if ((await expectTaken(gateway, path, text)) === 200) served++;
    }),
    { numRuns: size(20_000, 150), seed: size(Date.now(), 7) },
  );
  expect(served).toBeGreaterThan(0);
}, 600_000);

it('survives chats with messages and tools of arbitrary members', async () => {
  const gateway = await started();
  const message = fc.tuple(fc.constantFrom('user', 'assistant', 'tool', 'developer', 'x'), object(inner, value));
  const chat = fc.tuple(fc.array(message, { minLength: 1, maxLength: 3 }), object(inner, value), value);
  await fc.assert(
    fc.asyncProperty(chat, async ([messages, tool, argument]) => {
      const list = messages.map(([role, rest]) => `{"role":"${role}"${rest === '{}' ? '' : ','}${rest.slice(1)}`);
      const calling = `{"role":"assistant","tool_calls":[${call}${argument}}}]}`;
      const body = `{"messages":[${[...list, calling].join(',')}],"tools":[{"type":"function","function":${tool}}]}`;
      await expectTaken(gateway, '/v1/chat/completions', body);
    }),
    { numRuns: size(20_000, 100), seed: size(Date.now(), 8) },
  );
}, 600_000);

it("refuses bodies nested thousands deep with the limit's name", async () => {
  const gateway = await started();
  for (const depth of [5000, size(1_000_000, 100_000)]) {
    const nested = '['.repeat(depth) + ']'.repeat(depth);
    for (const [path, member] of [
      ['/v1/chat/completions', 'messages'],
      ['/v1/chat/completions', 'tools'],
      ['/v1/completions', 'prompt'],
      ['/v1/completions', 'user'],
    ] as const) {
      const answer = await post(gateway, path, `{"${member}":${nested}}`);
      expect(answer.status).toBe(400);
      expect(answer.body).toContain('jsonDepthMax');
    }
    await expectTaken(gateway, '/v1/completions', '{"a":'.repeat(depth));
    await expectTaken(gateway, '/v1/embeddings', `{"model":"fake","input":${nested}}`);
  }
  expect(log.lines.filter(({ level }) => level >= errorLevel)).toEqual([]);
});

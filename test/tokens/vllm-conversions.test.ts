// Requests of the responses and messages APIs become the chats that vLLM 0.32.0 makes of them.
// Recorded by scripts/record-vllm-conversions.py.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type InferenceRequest, readInferenceRequest } from '../../src/gateway/inference/request-intake.ts';
import { parseJson } from '../../src/tokens/exact-json.ts';
import { isJsonObject, type Json, type JsonObject } from '../../src/tokens/json-values.ts';
import { prepareMessages } from '../../src/tokens/vllm-messages.ts';
import { prepareTools } from '../../src/tokens/vllm-tools.ts';
import { RequestError } from '../../src/wire/openai-error.ts';

interface Case {
  readonly api: 'responses' | 'messages';
  readonly name: string;
  readonly body: string;
  readonly expected: string;
}

const golden = join(import.meta.dirname, '..', 'golden', 'vllm-conversions.json');
const cases = JSON.parse(readFileSync(golden, 'utf8')) as readonly Case[];

function read(api: Case['api'], body: string): InferenceRequest {
  return readInferenceRequest(api, Buffer.from(body), async () => undefined) as InferenceRequest;
}

function member(object: Json, name: string): Json {
  return isJsonObject(object) ? (object.get(name) ?? null) : null;
}

const ofTemplate = (kwargs: Json): JsonObject =>
  new Map(
    [...(kwargs as JsonObject)].filter(([name]) => !/^(add_generation_prompt|continue_final_message)$/.test(name)),
  );

describe('vLLM and the gateway make the same chat of', () => {
  it.each(cases)('$api: $name', ({ api, body, expected: text }) => {
    const expected = parseJson(text);
    const request = read(api, body);
    const [prompt] = request.prompts;
    if (prompt?.kind !== 'chat') throw new Error(`it was not converted: ${prompt?.kind}`);
    const { chat } = prompt;
    expect(request.converted).toBe(true);
    for (const takesParts of [true, false]) {
      for (const knowsDeveloper of [true, false]) {
        const traits = { takesParts, knowsDeveloper };
        const theirs = prepareMessages(member(expected, 'messages'), traits);
        expect(prepareMessages(chat.messages.value, traits)).toEqual(theirs);
        expect(prepareMessages(parseJson(chat.messages.text), traits)).toEqual(theirs);
      }
    }
    expect(prepareTools(chat.tools?.value ?? null)).toEqual(prepareTools(member(expected, 'tools')));
    const kwargs = member(expected, 'kwargs');
    expect(chat.addGenerationPrompt).toBe(member(kwargs, 'add_generation_prompt'));
    expect(chat.continueFinalMessage).toBe(member(kwargs, 'continue_final_message'));
    expect(new Map(chat.chatTemplateKwargs?.value as JsonObject | undefined)).toEqual(ofTemplate(kwargs));
    expect(chat.addSpecialTokens).toBe(member(expected, 'addSpecialTokens'));
    expect(request.truncatedTo).toBe(member(expected, 'truncate') === -1 ? 'context' : null);
  });
});

describe('what vLLM would refuse, or converts in an unknown way, is known by its bytes', () => {
  it.each([
    ['responses', '{"input":[{"type":"item_reference","id":"x"}]}'],
    ['responses', '{"input":[{"type":"reasoning","summary":[],"encrypted_content":"x"}]}'],
    ['responses', '{"input":[{"type":"function_call","call_id":"c","name":"n"}]}'],
    ['responses', '{"input":[{"role":"assistant","content":[]}]}'],
    ['responses', '{"input":7}'],
    ['responses', '{}'],
    ['responses', '{"input":"x","tools":[{"type":"custom","name":"x"}]}'],
    ['responses', '{"input":"x","chat_template_kwargs":[]}'],
    ['messages', '{"messages":[{"role":"assistant","content":[{"type":"tool_result","content":"x"}]}]}'],
    ['messages', '{"messages":[{"role":"user","content":[{"type":"tool_addition"}]}]}'],
    ['messages', '{"messages":[{"role":"user"}]}'],
    ['messages', '{"messages":[{"role":"system","content":[{"type":"tool_removal"}]}]}'],
    ['messages', '{"messages":[{"role":"tool","content":"x"}]}'],
    ['messages', '{"messages":{}}'],
    ['messages', '{"messages":[{"role":"user","content":"x"}],"tools":[{"name":"x"}]}'],
  ] as const)('%s %s', (api, body) => {
    expect(read(api, body)).toMatchObject({ converted: false, prompts: [{ kind: 'written' }] });
  });

  it('a conversation begins with the bytes of the one that it continues', () => {
    const turn = (texts: readonly string[]): string => {
      const items = texts.map((content) => ({ type: 'item_reference', content }));
      const [prompt] = read('responses', JSON.stringify({ instructions: 'i', input: items })).prompts;
      return prompt?.kind === 'written' ? prompt.text.toString() : '';
    };
    expect(turn(['a', 'b', 'c']).startsWith(turn(['a', 'b']))).toBe(true);
  });
});

it('system messages among the others are left there, or moved to the beginning for a template that refuses them', () => {
  const system = [{ type: 'text', text: 'Top. ' }];
  const messages = [
    { role: 'user', content: 'a' },
    { role: 'system', content: 'One. ' },
    { role: 'user', content: 'b' },
    { role: 'system', content: 'x-anthropic-billing-header: x' },
    { role: 'system', content: [{ type: 'text', text: 'Two.' }, { type: 'image' }] },
  ];
  const [prompt] = read('messages', JSON.stringify({ system, messages })).prompts;
  if (prompt?.kind !== 'chat') throw new Error('it was not converted');
  const told = (of: typeof prompt): unknown => JSON.parse(of.chat.messages.text);
  expect(told(prompt)).toEqual([
    { role: 'system', content: 'Top. ' },
    { role: 'user', content: 'a' },
    { role: 'system', content: 'One. ' },
    { role: 'user', content: 'b' },
    { role: 'system', content: 'Two.' },
  ]);
  expect(told(prompt.otherwise!)).toEqual([
    { role: 'system', content: 'Top. One. Two.' },
    { role: 'user', content: 'a' },
    { role: 'user', content: 'b' },
  ]);
});

it('a long body, or one of many values, is known by its bytes', async () => {
  const call = { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' };
  const kindOf = async (input: unknown): Promise<string> =>
    (await read('responses', JSON.stringify({ input }))).prompts[0]!.kind;
  // Calls in a row become one message.
  expect(await kindOf(Array.from({ length: 3000 }, () => call))).toBe('chat');
  expect(await kindOf(Array.from({ length: 5000 }, () => call))).toBe('written');
  expect(await kindOf('x'.repeat(2_000_000))).toBe('chat');
  expect(await kindOf('x'.repeat(2_200_000))).toBe('written');
});

it('a response that continues another is known by its length only', () => {
  const body = '{"input":"x","previous_response_id":"resp_1"}';
  expect(read('responses', body)).toMatchObject({
    converted: false,
    previousResponse: 'resp_1',
    prompts: [{ kind: 'continuation', bytes: body.length }],
  });
  const long = JSON.stringify({ input: 'x', previous_response_id: 'x'.repeat(300) });
  expect(() => read('responses', long)).toThrow(/previous_response_id/);
});

it('tells sessions, limits and built-in tools', () => {
  const asked = read('messages', '{"messages":[],"max_tokens":7,"metadata":{"user_id":"u1"},"stream":true}');
  expect(asked).toMatchObject({ session: 'user_id:u1', maxOutputTokens: 7, stream: true, usesTools: false });
  const response = read('responses', '{"input":"x","max_output_tokens":9,"user":"u","tools":[{"type":"mcp"}]}');
  expect(response).toMatchObject({ session: 'user:u', maxOutputTokens: 9, usesTools: true });
});

it('any body becomes a request, or an error that names the field', () => {
  const leaf = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.boolean());
  const types = ['message', 'function_call', 'function_call_output', 'reasoning', 'text', 'tool_use', 'tool_result'];
  const names = ['type', 'role', 'content', 'text', 'output', 'summary', 'input', 'call_id', 'id', 'name', 'arguments'];
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(fc.constantFrom(...names), fc.oneof(tie('value'), fc.constantFrom(...types, 'user', 'assistant'))),
    ),
  }));
  const members = ['instructions', 'input', 'tools', 'reasoning', 'system', 'messages', 'thinking', 'output_config'];
  const body = fc.dictionary(fc.constantFrom(...members, 'metadata', 'chat_template_kwargs'), value);
  fc.assert(
    fc.property(fc.constantFrom('responses' as const, 'messages' as const), body, (api, given) => {
      try {
        const request = read(api, JSON.stringify(given));
        expect(request.prompts).toHaveLength(1);
        expect(request.converted).toBe(request.prompts[0]!.kind === 'chat');
      } catch (error) {
        expect(error).toBeInstanceOf(RequestError);
      }
    }),
    { numRuns: 500 },
  );
});

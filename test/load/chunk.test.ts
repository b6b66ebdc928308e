import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readChunk } from '../../src/load/chunk.ts';

const text = (choice: object, more: object = {}) =>
  JSON.stringify({
    id: 'x',
    object: 'text_completion',
    choices: [{ index: 0, finish_reason: null, ...choice }],
    ...more,
  });
const delta = (fields: object, more: object = {}) => text({ delta: fields, ...more });

describe('readChunk', () => {
  it.each([
    ['text', text({ text: ' a' })],
    ['empty text', text({ text: '' })],
    ['content', delta({ content: ' a' })],
    ['empty content', delta({ content: '' })],
    ['role and content in one', delta({ role: 'assistant', content: 'a' })],
    ['reasoning', delta({ reasoning_content: 'hm' })],
    ['reasoning, the newer name', delta({ reasoning: 'hm' })],
    ['a tool call', delta({ tool_calls: [{ index: 0, function: { name: 'f' } }] })],
  ])('%s is a token', (_, data) => {
    expect(readChunk(data, false)).toEqual({ kind: 'tokens', tokens: null, usage: null });
  });

  it.each([
    ['the role chunk', delta({ role: 'assistant', content: '' })],
    ['an empty delta', delta({}, { finish_reason: 'stop' })],
    ['a delta of nulls', delta({ role: null, content: null, reasoning_content: null })],
    ['no choices', JSON.stringify({ choices: [] })],
    ['empty token ids', text({ text: '', token_ids: [] })],
  ])('%s is not a token, parsed or not', (_, data) => {
    for (const plainMayPass of [false, data.includes('"role":"')]) {
      expect(readChunk(data, plainMayPass)).toEqual({ kind: 'no-tokens', usage: null });
    }
  });

  it('counts token ids', () => {
    for (const plainMayPass of [false, true]) {
      expect(readChunk(text({ text: 'abc', token_ids: [1, 2, 3] }), plainMayPass)).toMatchObject({ tokens: 3 });
    }
  });

  it('reads usage, also running usage', () => {
    const usage = { prompt_tokens: 9, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 8 } };
    const read = { promptTokens: 9, completionTokens: 4, cachedTokens: 8 };
    for (const plainMayPass of [false, true]) {
      expect(readChunk(JSON.stringify({ choices: [], usage }), plainMayPass)).toEqual({
        kind: 'no-tokens',
        usage: read,
      });
      expect(readChunk(text({ text: 'a' }, { usage }), plainMayPass)).toMatchObject({ kind: 'tokens', usage: read });
      expect(readChunk(text({ text: 'a' }, { usage: null }), plainMayPass)).toMatchObject({ usage: null });
    }
    expect(readChunk(JSON.stringify({ choices: [], usage: { ...usage, prompt_tokens_details: null } }), false)).toEqual(
      {
        kind: 'no-tokens',
        usage: { ...read, cachedTokens: null },
      },
    );
  });

  it('recognizes errors in either form, at any time', () => {
    const vllm = '{"error": {"message": "boom", "type": "InternalServerError", "param": null, "code": 500}}';
    const old = '{"object":"error","message":"boom","code":500}';
    for (const plainMayPass of [false, true]) {
      expect(readChunk(vllm, plainMayPass)).toEqual({ kind: 'error', message: 'boom' });
      expect(readChunk(old, plainMayPass)).toEqual({ kind: 'error', message: 'boom' });
      expect(readChunk('{"error":"flat"}', plainMayPass)).toEqual({ kind: 'error', message: 'flat' });
      expect(readChunk(text({ text: '', finish_reason: 'abort' }), plainMayPass).kind).toBe('error');
    }
  });

  it('recognizes the end mark and data that is not a chunk', () => {
    expect(readChunk('[DONE]', true)).toEqual({ kind: 'done' });
    expect(readChunk('{"choices":', true).kind).toBe('malformed');
    expect(readChunk('[]', true).kind).toBe('malformed');
    expect(readChunk('{"choices":[1]}', true).kind).toBe('malformed');
    expect(readChunk('{}', true).kind).toBe('malformed');
  });

  it('gives the same result without parsing, whatever the text', () => {
    const marks = fc.constantFrom(
      '"error"',
      '"usage":{',
      '"role":"x"',
      '"token_ids":[1]',
      '"finish_reason":null',
      '\\"',
    );
    const content = fc.array(fc.oneof(fc.string(), marks)).map((parts) => parts.join(''));
    fc.assert(
      fc.property(content, fc.constantFrom(null, 'stop'), fc.boolean(), (words, finish, chat) => {
        const choice = chat ? { delta: { content: words } } : { text: words };
        const data = text({ ...choice, finish_reason: finish, token_ids: null });
        expect(readChunk(data, true)).toEqual(readChunk(data, false));
      }),
    );
  });
});

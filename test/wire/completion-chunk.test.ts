import { describe, expect, it } from 'vitest';
import { readBodyUsage } from '../../src/wire/completion-chunk.ts';

describe('readBodyUsage', () => {
  it('reads the usage of an answer in one piece, whatever its other fields', () => {
    const usage = { prompt_tokens: 14, total_tokens: 16, completion_tokens: 2, prompt_tokens_details: null };
    expect(readBodyUsage(Buffer.from(JSON.stringify({ choices: [], usage })))).toEqual({
      promptTokens: 14,
      completionTokens: 2,
      cachedTokens: null,
    });
    for (const body of ['', 'null', '[]', '{}', 'oops']) expect(readBodyUsage(Buffer.from(body))).toBe('absent');
    expect(readBodyUsage(Buffer.from('{"usage":{"prompt_tokens":-1}}'))).toBe('malformed');
  });
});

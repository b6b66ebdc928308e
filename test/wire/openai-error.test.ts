import { describe, expect, it } from 'vitest';
import { RequestError } from '../../src/wire/openai-error.ts';

describe('RequestError', () => {
  it('has the envelope of the OpenAI API', () => {
    const error = new RequestError(400, 'invalid_value', 'n must be an integer', 'n');
    expect(error.body()).toEqual({
      error: { message: 'n must be an integer', type: 'invalid_request_error', param: 'n', code: 'invalid_value' },
    });
  });

  it('distinguishes server errors from client errors', () => {
    expect(new RequestError(499, 'c', 'm').type).toBe('invalid_request_error');
    expect(new RequestError(500, 'c', 'm').type).toBe('server_error');
    expect(new RequestError(503, 'c', 'm').body().error.param).toBe(null);
  });

  it('quotes no more than a part of what a client sent', () => {
    const { error } = new RequestError(404, 'c', 'm'.repeat(1_000_000), 'p'.repeat(1_000_000)).body();
    expect(error.message).toMatch(/^m{2000} \.\.\.$/);
    expect(error.param).toMatch(/^p{256} \.\.\.$/);
  });
});

import { describe, expect, it } from 'vitest';
import { errorBody, errorEvent } from '../../src/wire/error-form.ts';
import { RequestError } from '../../src/wire/openai-error.ts';

const error = new RequestError(503, 'no_available_workers', 'none is ready');

describe('an error', () => {
  it.each(['/v1/chat/completions', '/v1/responses', '/v1/messagesx', '/v1/models', '/'])(
    'at %s is in OpenAI words',
    (path) => {
      expect(errorBody(path, error)).toEqual(error.body());
      expect(errorEvent(path, { a: 1 }).toString()).toBe('\n\ndata: {"a":1}\n\n');
    },
  );

  it.each(['/v1/messages', '/v1/messages?beta=true', '/v1/messages/count_tokens'])(
    'at %s is in Anthropic words',
    (path) => {
      const { message, code } = error.body().error;
      expect(errorBody(path, error)).toEqual({
        type: 'error',
        error: { type: 'overloaded_error', message, code, param: null },
      });
      expect(errorEvent(path, { a: 1 }).toString()).toBe('\n\nevent: error\ndata: {"a":1}\n\n');
    },
  );

  it.each([
    [400, 'invalid_request_error'],
    [401, 'authentication_error'],
    [403, 'permission_error'],
    [404, 'not_found_error'],
    [413, 'request_too_large'],
    [429, 'rate_limit_error'],
    [500, 'api_error'],
    [502, 'api_error'],
  ])('of status %i is %s to Anthropic clients', (status, type) => {
    expect(errorBody('/v1/messages', new RequestError(status, 'x', 'y'))).toMatchObject({ error: { type } });
  });
});

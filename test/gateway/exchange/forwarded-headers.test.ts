import { describe, expect, it } from 'vitest';
import { requestHeaders, responseHeaders } from '../../../src/gateway/exchange/forwarded-headers.ts';

describe('forwarded headers', () => {
  it('omit hop-by-hop headers and those that the gateway sets', () => {
    const raw = [
      ['Host', 'x'],
      ['Connection', 'close, X-Hop'],
      ['X-Hop', '1'],
      ['Transfer-Encoding', 'chunked'],
      ['Content-Length', '5'],
      ['Accept-Encoding', 'gzip'],
      ['X-Kvoyant-Temperature', '1'],
      ['X-Request-Id', 'r'],
      ['Authorization', 'Bearer c'],
      ['X-Session-ID', 's'],
      ['Content-Type', 'application/json'],
    ].flat();
    expect(requestHeaders(raw, null)).toEqual(
      [
        ['authorization', 'Bearer c'],
        ['x-session-id', 's'],
        ['content-type', 'application/json'],
      ].flat(),
    );
    expect(requestHeaders(raw, 'own')).toEqual(
      [
        ['x-session-id', 's'],
        ['content-type', 'application/json'],
        ['authorization', 'Bearer own'],
      ].flat(),
    );
  });

  it('of a response keep repeated headers separate', () => {
    const headers = {
      'set-cookie': ['a=1', 'b=2'],
      connection: 'x-hop',
      'x-hop': '1',
      'x-request-id': 'r',
      server: 's',
    };
    expect(responseHeaders(headers)).toEqual(['set-cookie', 'a=1', 'set-cookie', 'b=2', 'server', 's']);
  });
});

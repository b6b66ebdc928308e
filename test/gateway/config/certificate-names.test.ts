import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readApiKey } from '../../../src/gateway/config/api-keys.ts';
import { alternativeNames, certificateName } from '../../../src/gateway/config/certificate-names.ts';
import { resolveConfig } from '../../../src/gateway/config/config.ts';
import type { GatewayOptions } from '../../../src/gateway/index.ts';
import { clientAuthorityFile, tlsSettings } from '../../e2e/tls-files.ts';

/** A name as Node writes it: as JSON with escapes, if it has characters that could be misread. */
function written(kind: string, value: string): string {
  const special = /[,"\\'\p{Cc}]|[^\x20-\x7e]/u.test(value);
  const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return `${kind}:${special ? `"${value.replace(/[^\x20-\x7e]|[,"\\']/g, escaped)}"` : value}`;
}

describe('alternative names', () => {
  it('are read as they were written, whatever they contain', () => {
    const kind = fc.constantFrom('DNS', 'URI', 'email', 'IP Address', 'othername');
    const value = fc.oneof(
      fc.string(),
      fc.constantFrom('a, DNS:alice', '"', '\\', 'a", URI:b', ', ', 'spiffe://a/b?c=d:e', '<unsupported>'),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(kind, value), { maxLength: 8 }), (names) => {
        const kept = new Map([
          ['DNS', 'dns'],
          ['URI', 'uri'],
          ['email', 'email'],
        ]);
        const expected = names.flatMap(([name, text]) => {
          const shown = kept.get(name);
          return shown === undefined ? [] : [`${shown}:${shown === 'dns' ? text.toLowerCase() : text}`];
        });
        expect(alternativeNames(names.map(([name, text]) => written(name, text)).join(', '))).toEqual(expected);
      }),
    );
  });

  it('behind something malformed are not read', () => {
    expect(alternativeNames('DNS:a, DNS:"b, DNS:c')).toEqual(['dns:a']);
    expect(alternativeNames('DNS:a, "DNS:b"')).toEqual(['dns:a']);
    expect(alternativeNames('')).toEqual([]);
  });
});

describe('a name in the configuration', () => {
  it.each([
    ['dns:A.Example', 'dns:a.example'],
    ['uri:spiffe://A/b', 'uri:spiffe://A/b'],
    ['cn:Alice Smith, GPU team', 'cn:Alice Smith, GPU team'],
    ['alice', null],
    ['ip:10.0.0.1', null],
    ['cn:', null],
    ['cn: alice', null],
    ['cn:a\nb', null],
    [`cn:${'a'.repeat(257)}`, null],
    [7, null],
  ])('%j is compared as %j', (value, expected) => {
    expect(certificateName(value)).toBe(expected);
  });

  const base = { workers: ['http://a:1'], ...tlsSettings('first'), clientCaFile: clientAuthorityFile };
  const key = (name: string, ...certificates: string[]) => ({ name, certificates });
  it.each<[GatewayOptions, RegExp]>([
    [{ apiKeys: [key('a', 'cn:a'), key('b', 'cn:a')] }, /names the certificate cn:a twice/],
    [{ apiKeys: [key('a', 'a')] }, /must be cn:NAME/],
    [{ apiKeys: [key('a')] }, /key of a must have 16 to 256/],
    [{ apiKeys: [key('a', 'cn:a')], clientCaFile: null }, /has no use without clientCaFile/],
    [{ tlsCertFile: null, tlsKeyFile: null }, /clientCaFile|needs TLS/],
    [{ clientCaFile: null, clientCertRequired: true }, /needs clientCaFile/],
  ])('%j is refused where it can have no effect', (options, message) => {
    expect(() => resolveConfig({ ...base, ...options })).toThrow(message);
  });

  it('stands beside a secret or alone', () => {
    expect(readApiKey(key('a', 'cn:a'))).toMatchObject({ key: { hash: null, certificates: ['cn:a'] } });
    const both = { ...key('a', 'cn:a'), key: '0123456789abcdef' };
    expect(readApiKey(both)).toMatchObject({ key: { hash: expect.stringMatching(/^sha256/), certificates: ['cn:a'] } });
  });
});

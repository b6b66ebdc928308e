import { describe, expect, it } from 'vitest';
import { ApiKeyring, readApiKey } from '../../../src/gateway/config/api-keys.ts';
import {
  hashSecret,
  isSecretHash,
  newSecret,
  SecretCheck,
  secretForm,
} from '../../../src/gateway/config/secret-hash.ts';

describe('a secret', () => {
  it('is known by its hash, which does not contain it and can replace it in the configuration', () => {
    const secret = newSecret();
    expect(secret).toMatch(secretForm);
    const hash = hashSecret(secret);
    expect(isSecretHash(hash)).toBe(true);
    expect(hash).not.toContain(secret);
    expect(hashSecret(hash)).toBe(hash);
    expect(new SecretCheck(hash).accepts(secret)).toBe(true);
    expect(new SecretCheck(hash).accepts(`${secret}x`)).toBe(false);
    expect(new SecretCheck(hash).accepts(hash)).toBe(false);
  });

  it('has its own salt', () => {
    const [, a] = hashSecret('0123456789abcdef').split(':');
    const [, b] = hashSecret('fedcba9876543210').split(':');
    expect(a).not.toBe(b);
  });
});

describe('a keyring', () => {
  it('finds each key, repeatedly, and no other', () => {
    const secrets = Array.from({ length: 20 }, newSecret);
    const keys = secrets.map((secret, i) => {
      const result = readApiKey(`key-${i}:${secret}`);
      if (result.kind === 'wrong') throw new Error(result.message);
      return result.key;
    });
    const keyring = new ApiKeyring(keys);
    for (let round = 0; round < 2; round++) {
      for (const [i, secret] of secrets.entries()) expect(keyring.find(secret)?.name).toBe(`key-${i}`);
      expect(keyring.find(newSecret())).toBe(null);
    }
    expect(keyring.open).toBe(false);
    expect(new ApiKeyring([]).open).toBe(true);
  });
});

// Salted hashes of secrets: they can check a secret but do not reveal it.

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const saltBytes = 16;
const digestBytes = 32;
const form = new RegExp(`^sha256:[0-9a-f]{${2 * saltBytes}}:[0-9a-f]{${2 * digestBytes}}$`);

/** Random bytes of a generated secret; SHA-256 suffices for a secret that can't be guessed. */
const secretBytes = 32;

/** Salts are derived from it, so that a secret has the same hash throughout a process. */
const saltSource = randomBytes(32);

/** Form of a secret that fits into a header and is hard to guess. */
export const secretForm: RegExp = /^[\x21-\x7e]{16,256}$/;

export function newSecret(): string {
  return `kvoyant-${randomBytes(secretBytes).toString('base64url')}`;
}

/** `sha256:SALT:DIGEST` in hexadecimal; a text that already has this form is returned as it is. */
export function hashSecret(secret: string): string {
  if (isSecretHash(secret)) return secret;
  const salt = createHmac('sha256', saltSource).update(secret).digest().subarray(0, saltBytes);
  return `sha256:${salt.toString('hex')}:${digest(salt, secret).toString('hex')}`;
}

export function isSecretHash(text: string): boolean {
  return form.test(text);
}

/** Checks a secret against its hash, in a time that does not depend on the secret. */
export class SecretCheck {
  readonly #salt: Buffer;
  readonly #digest: Buffer;

  /** @param hash result of `hashSecret` */
  constructor(hash: string) {
    const [, salt = '', expected = ''] = hash.split(':');
    this.#salt = Buffer.from(salt, 'hex');
    this.#digest = Buffer.from(expected, 'hex');
  }

  accepts(secret: string): boolean {
    return timingSafeEqual(digest(this.#salt, secret), this.#digest);
  }
}

function digest(salt: Buffer, secret: string): Buffer {
  return createHash('sha256').update(salt).update(secret).digest();
}

// How a secret is kept: a salted digest that tells whether a text is the secret, but not what the secret is.

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const saltBytes = 16;
const digestBytes = 32;
const form = new RegExp(`^sha256:[0-9a-f]{${2 * saltBytes}}:[0-9a-f]{${2 * digestBytes}}$`);

/** Random bytes of a secret that is made here; SHA-256 suffices for a secret that can't be guessed. */
const secretBytes = 32;

/** Salts come from it, so that within a process the same secret has the same hash. */
const saltSource = randomBytes(32);

/** What a secret must look like to go into a header, and to be hard to guess. */
export const secretForm: RegExp = /^[\x21-\x7e]{16,256}$/;

export function newSecret(): string {
  return `kvoyant-${randomBytes(secretBytes).toString('base64url')}`;
}

/** `sha256:SALT:DIGEST`, in hexadecimal digits; a text that has this form already is kept. */
export function hashSecret(secret: string): string {
  if (isSecretHash(secret)) return secret;
  const salt = createHmac('sha256', saltSource).update(secret).digest().subarray(0, saltBytes);
  return `sha256:${salt.toString('hex')}:${digest(salt, secret).toString('hex')}`;
}

export function isSecretHash(text: string): boolean {
  return form.test(text);
}

/** Takes a secret by its hash, in a time that does not depend on the secret. */
export class SecretCheck {
  readonly #salt: Buffer;
  readonly #digest: Buffer;

  /** @param hash as `hashSecret` gives it */
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

// SGLang's page hash: SHA-256 over the digest of the page before and the tokens, without any seed.

import { createHash } from 'node:crypto';
import type { BlockHash, SequenceHasher } from '../sim/index.ts';

/**
 * The words given out are the first 8 bytes of the digest, big-endian; events carry them as a signed integer.
 * What comes before the first page of a salted or adapted sequence is our own choice: content stays apart, as it does
 * in the engine.
 */
export const sglangPageHash: BlockHash = (lora, salt) => new PageHasher(lora, salt);

class PageHasher implements SequenceHasher {
  #prior: Uint8Array;

  constructor(lora: string | null, salt: string | null) {
    const isPlain = lora === null && salt === null;
    this.#prior = isPlain
      ? new Uint8Array(0)
      : createHash('sha256')
          .update(JSON.stringify([lora, salt]))
          .digest();
  }

  next(tokens: Uint32Array, from: number, to: number, out: Uint32Array, at: number): void {
    const page = Buffer.allocUnsafe(4 * (to - from));
    for (let i = from; i < to; i++) page.writeUInt32LE(tokens[i]!, 4 * (i - from));
    const digest = createHash('sha256').update(this.#prior).update(page).digest();
    out[at] = digest.readUInt32BE(4);
    out[at + 1] = digest.readUInt32BE(0);
    this.#prior = digest;
  }
}

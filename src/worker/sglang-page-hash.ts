// SGLang's page hash: SHA-256 over the previous page's digest and the tokens, without a seed.

import { createHash } from 'node:crypto';
import type { BlockHash, SequenceHasher } from '../sim/index.ts';

/**
 * The output words are the first 8 bytes of the digest, big-endian. Events carry them as a signed integer. The parent
 * of the first page of a sequence with salt or adapter is our own choice; it keeps content separate, as the engine
 * does.
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

// Sequence hashes of one prompt that are known before they are asked for, by block size and namespace.

import type { Namespace } from '../../core/index.ts';

interface Known {
  readonly blockSize: number;
  readonly lora: string | null;
  readonly salt: string | null;
  readonly sequence: Uint32Array;
}

export class KnownHashes {
  /** A handful. */
  readonly #known: Known[] = [];

  /** Two words (low, high) for each full block; undefined: not known. */
  find(blockSize: number, { lora, salt }: Namespace): Uint32Array | undefined {
    for (const known of this.#known) {
      const isIt = known.blockSize === blockSize && known.lora === (lora || null) && known.salt === (salt || null);
      if (isIt) return known.sequence;
    }
    return undefined;
  }

  get bytes(): number {
    let bytes = 0;
    for (const { sequence } of this.#known) bytes += sequence.byteLength;
    return bytes;
  }

  add(blockSize: number, { lora, salt }: Namespace, sequence: Uint32Array): void {
    this.#known.push({ blockSize, lora: lora || null, salt: salt || null, sequence });
  }
}

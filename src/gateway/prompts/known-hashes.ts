// Sequence hashes of one prompt that are known before they are asked for, by block size and namespace.

import type { Namespace } from '../../core/index.ts';

export class KnownHashes {
  readonly #sequences = new Map<string, Uint32Array>();

  /** Two words (low, high) for each full block; undefined: not known. */
  find(blockSize: number, namespace: Namespace): Uint32Array | undefined {
    return this.#sequences.get(keyOf(blockSize, namespace));
  }

  add(blockSize: number, namespace: Namespace, sequence: Uint32Array): void {
    this.#sequences.set(keyOf(blockSize, namespace), sequence);
  }
}

function keyOf(blockSize: number, { lora, salt }: Namespace): string {
  return JSON.stringify([blockSize, lora || null, salt || null]);
}

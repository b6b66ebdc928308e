// vLLM's block hash `sha256_cbor`: SHA-256 over the canonical CBOR of (parent digest, tokens, extra keys).

import { createHash } from 'node:crypto';
import type { BlockHash, SequenceHasher } from '../sim/index.ts';
import { CborWriter } from './cbor-writer.ts';

/**
 * @param seed the engine's PYTHONHASHSEED; its hash is the parent of a first block. The output words are the low 64
 * bits of the digest, as the engine publishes them.
 */
export function sha256BlockHash(seed: string): BlockHash {
  const writer = new CborWriter();
  writer.text(seed);
  const root = digestOf(writer);
  return (lora, salt) => new Sha256Hasher(writer, root, lora, salt);
}

class Sha256Hasher implements SequenceHasher {
  readonly #writer: CborWriter;
  readonly #root: Buffer;
  readonly #lora: string | null;
  readonly #salt: string | null;
  #parent: Buffer;

  constructor(writer: CborWriter, root: Buffer, lora: string | null, salt: string | null) {
    this.#writer = writer;
    this.#root = root;
    this.#parent = root;
    this.#lora = lora;
    this.#salt = salt;
  }

  next(tokens: Uint32Array, from: number, to: number, out: Uint32Array, at: number): void {
    const writer = this.#writer;
    writer.array(3);
    writer.bytes(this.#parent);
    writer.array(to - from);
    for (let i = from; i < to; i++) writer.uint(tokens[i]!);
    this.#writeExtraKeys(this.#parent === this.#root);
    const digest = digestOf(writer);
    out[at] = digest.readUInt32BE(28);
    out[at + 1] = digest.readUInt32BE(24);
    this.#parent = digest;
  }

  /**
   * Writes tagged extra keys, as vLLM does since 0.31. The salt is in the first block only. A simulated adapter has no
   * path.
   */
  #writeExtraKeys(isFirst: boolean): void {
    const writer = this.#writer;
    const salt = isFirst ? this.#salt : null;
    if (this.#lora === null && salt === null) {
      writer.nil();
      return;
    }
    writer.array((this.#lora === null ? 0 : 1) + (salt === null ? 0 : 1));
    if (this.#lora !== null) {
      writer.array(3);
      writer.text('lora');
      writer.text(this.#lora);
      writer.text('');
    }
    if (salt !== null) {
      writer.array(2);
      writer.text('cache_salt');
      writer.text(salt);
    }
  }
}

function digestOf(writer: CborWriter): Buffer {
  return createHash('sha256').update(writer.take()).digest();
}

// Tokens -> block hashes -> chained sequence hashes: the identity of a prompt's blocks, the same for requests and KV events.
//
// blockHash      = XXH64(the block's token ids as u32 little-endian)
// sequenceHash_i = XXH64(sequenceHash_(i-1) as u64 little-endian || blockHash_i as u64 little-endian)
// sequenceHash_-1, the root = XXH64(UTF-8 of JSON.stringify([blockSize, lora, salt]))
//
// XXH64 is the standard one (Collet, 64-bit, seed 0). The root keeps block sizes, LoRA adapters and cache salts apart.
// Only full blocks have a hash.

import { assert } from '../assert.ts';
import type { BlockHashes } from '../types.ts';
import { kernelBase64 } from './block-hash-kernel.generated.ts';

/** What separates content beside its tokens. An empty string counts as absent. */
export interface Namespace {
  readonly lora?: string | null;
  readonly salt?: string | null;
}

interface Kernel {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  sequence(at: number, count: number, blockBytes: number, out: number): void;
  bytesTo(at: number, length: number, out: number): void;
}

declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { readonly exports: unknown };
};

const pageBytes = 65536;

/** One owner, one scratch memory: make one a router or a thread, not one a request. */
export class BlockHasher {
  /** 64 Mi tokens: far beyond any context window, far below the 4 GiB of the kernel's memory. */
  static readonly promptTokensMax = 67_108_864;

  readonly #kernel: Kernel;
  readonly #utf8 = new TextEncoder();
  readonly #roots = new Map<string, Uint32Array>();
  #words: Uint32Array;
  #bytes: Uint8Array;

  constructor() {
    const binary = Uint8Array.from(atob(kernelBase64), (character) => character.charCodeAt(0));
    this.#kernel = new WebAssembly.Instance(new WebAssembly.Module(binary)).exports as Kernel;
    this.#words = new Uint32Array(this.#kernel.memory.buffer);
    this.#bytes = new Uint8Array(this.#kernel.memory.buffer);
  }

  /** Hashes the full blocks of a prompt. @param blockSize tokens a block, from 1 up */
  hash(tokens: Uint32Array, blockSize: number, namespace?: Namespace): BlockHashes {
    const count = Math.floor(tokens.length / blockSize);
    const sequence = this.chain(tokens, count, blockSize, this.root(blockSize, namespace));
    return { blockSize, count, sequence, blockTokens: blockSize };
  }

  /**
   * Without a tokenizer: blocks of `4 * blockSize` bytes, each standing for that many bytes / `bytesPerToken` tokens.
   * The hashes meet only those of other prompts hashed from bytes.
   */
  hashBytes(text: Uint8Array, blockSize: number, bytesPerToken: number, namespace?: Namespace): BlockHashes {
    const blockBytes = 4 * blockSize;
    const count = Math.floor(text.length / blockBytes);
    const words = new Uint32Array(count * blockSize);
    new Uint8Array(words.buffer).set(text.subarray(0, count * blockBytes));
    const root = this.mix(this.root(blockSize, namespace), 'bytes');
    const sequence = this.chain(words, count, blockSize, root);
    return { blockSize, count, sequence, blockTokens: blockBytes / bytesPerToken };
  }

  /** The parent of a first block: two words (low, high). The result is shared: do not write to it. */
  root(blockSize: number, namespace?: Namespace): Uint32Array {
    assert(Number.isInteger(blockSize) && blockSize >= 1, 'a block size is an integer from 1 up');
    const key = JSON.stringify([blockSize, namespace?.lora || null, namespace?.salt || null]);
    const known = this.#roots.get(key);
    if (known) return known;
    const root = this.#hashText(key);
    if (this.#roots.size >= rootsMax) this.#roots.clear();
    this.#roots.set(key, root);
    return root;
  }

  /** A parent that also stands for `extra`: content that token ids do not show, such as an image. */
  mix(parent: Uint32Array, extra: string): Uint32Array {
    return this.#hashText(`${parent[0]},${parent[1]},${extra}`);
  }

  /**
   * Sequence hashes of the first `count` blocks of `tokens` below `parent` (two words).
   * @returns two words (low, high) a block.
   */
  chain(tokens: Uint32Array, count: number, blockSize: number, parent: Uint32Array): Uint32Array {
    const tokenCount = count * blockSize;
    assert(tokenCount <= tokens.length, 'every hashed block is full');
    assert(tokenCount <= BlockHasher.promptTokensMax, 'a prompt has at most promptTokensMax tokens');
    const outWords = (tokenCount + 1) & ~1;
    this.#reserve((outWords + 2 * (count + 1)) * 4);
    this.#words.set(tokenCount === tokens.length ? tokens : tokens.subarray(0, tokenCount));
    this.#words[outWords] = parent[0]!;
    this.#words[outWords + 1] = parent[1]!;
    this.#kernel.sequence(0, count, blockSize * 4, outWords * 4);
    return this.#words.slice(outWords + 2, outWords + 2 + 2 * count);
  }

  #hashText(text: string): Uint32Array {
    const bytes = this.#utf8.encode(text);
    const out = (bytes.length + 7) & ~7;
    this.#reserve(out + 8);
    this.#bytes.set(bytes);
    this.#kernel.bytesTo(0, bytes.length, out);
    return this.#words.slice(out / 4, out / 4 + 2);
  }

  #reserve(neededBytes: number): void {
    const missing = neededBytes - this.#bytes.length;
    if (missing <= 0) return;
    this.#kernel.memory.grow(Math.ceil(missing / pageBytes));
    this.#words = new Uint32Array(this.#kernel.memory.buffer);
    this.#bytes = new Uint8Array(this.#kernel.memory.buffer);
  }
}

/** Remembered roots (block size x LoRA x salt); salts come from clients, so the memory of them is dropped when full. */
const rootsMax = 4096;

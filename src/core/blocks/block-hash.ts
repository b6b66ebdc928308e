// Block hashing: tokens -> block hashes -> chained sequence hashes, which identify blocks of requests and KV events
// alike.
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

/** What distinguishes content besides its tokens. An empty string counts as absent. */
export interface Namespace {
  readonly lora?: string | null;
  readonly salt?: string | null;
}

interface Kernel {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  sequence(at: number, count: number, blockBytes: number, out: number): void;
  bytesTo(at: number, length: number, out: number): void;
}

// biome-ignore lint/style/useNamingConvention: the name is the platform's.
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { readonly exports: unknown };
};

const pageBytes = 65536;

/** Owns scratch memory: create one per router or thread, not one per request. */
export class BlockHasher {
  /** 64 Mi tokens: far above any context window, far below the 4 GiB limit of the kernel's memory. */
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

  /** Hashes the full blocks of a prompt. @param blockSize tokens per block, at least 1 */
  hash(tokens: Uint32Array, blockSize: number, namespace?: Namespace): BlockHashes {
    const count = Math.floor(tokens.length / blockSize);
    const sequence = this.chain(tokens, count, blockSize, this.root(blockSize, namespace));
    return { blockSize, count, sequence, blockTokens: blockSize };
  }

  /**
   * Hashes a prompt without a tokenizer, in blocks of `4 * blockSize` bytes that count as `4 * blockSize /
   * bytesPerToken` tokens. The hashes match only those of other prompts hashed from bytes.
   */
  hashBytes(text: Uint8Array, blockSize: number, bytesPerToken: number, namespace?: Namespace): BlockHashes {
    const blockBytes = 4 * blockSize;
    const count = Math.floor(text.length / blockBytes);
    const parent = this.bytesRoot(this.root(blockSize, namespace));
    this.#makeRoom(count, blockSize);
    this.#bytes.set(text.subarray(0, count * blockBytes));
    const sequence = this.#chained(count, blockSize, parent);
    return { blockSize, count, sequence, blockTokens: blockBytes / bytesPerToken };
  }

  /** Parent hash of a first block: two words (low, high). The array is shared; do not modify it. */
  root(blockSize: number, namespace?: Namespace): Uint32Array {
    assert(Number.isInteger(blockSize) && blockSize >= 1, 'a block size is an integer from 1 up');
    const key = JSON.stringify([blockSize, namespace?.lora || null, namespace?.salt || null]);
    const known = this.#roots.get(key);
    if (known) return known;
    const root = this.#hashText(key);
    if (key.length > rootLengthMax) return root;
    if (this.#roots.size >= rootsMax) this.#roots.clear();
    this.#roots.set(key, root);
    return root;
  }

  /** Parent hash of the first block of bytes that stand in for tokens. */
  bytesRoot(root: Uint32Array): Uint32Array {
    return this.mix(root, 'bytes');
  }

  /** Mixes `extra` into a parent hash: content that token ids do not show, such as an image. */
  mix(parent: Uint32Array, extra: string): Uint32Array {
    return this.#hashText(`${parent[0]},${parent[1]},${extra}`);
  }

  /**
   * Sequence hashes of the first `count` blocks of `tokens` below `parent` (two words).
   * @returns two words (low, high) per block
   */
  chain(tokens: Uint32Array, count: number, blockSize: number, parent: Uint32Array): Uint32Array {
    const tokenCount = count * blockSize;
    assert(tokenCount <= tokens.length, 'every hashed block is full');
    this.#makeRoom(count, blockSize);
    this.#words.set(tokenCount === tokens.length ? tokens : tokens.subarray(0, tokenCount));
    return this.#chained(count, blockSize, parent);
  }

  /** For the tokens of the blocks, at the start of the memory, and their hashes. */
  #makeRoom(count: number, blockSize: number): void {
    assert(count * blockSize <= BlockHasher.promptTokensMax, 'a prompt has at most promptTokensMax tokens');
    this.#reserve((evenWords(count * blockSize) + 2 * (count + 1)) * 4);
  }

  /** Hashes the tokens at the start of the memory. */
  #chained(count: number, blockSize: number, parent: Uint32Array): Uint32Array {
    const outWords = evenWords(count * blockSize);
    this.#words[outWords] = parent[0]!;
    this.#words[outWords + 1] = parent[1]!;
    this.#kernel.sequence(0, count, blockSize * 4, outWords * 4);
    return this.#words.slice(outWords + 2, outWords + 2 + 2 * count);
  }

  /**
   * Like `chain`, for blocks of which only the block hashes are known.
   * @param blockHashes two words (low, high) per block
   */
  chainBlockHashes(blockHashes: Uint32Array, parent: Uint32Array): Uint32Array {
    const count = blockHashes.length / 2;
    assert(Number.isInteger(count), 'a block hash has two words');
    const sequence = new Uint32Array(2 * count);
    const words = this.#words;
    words.set(parent.subarray(0, 2));
    for (let i = 0; i < 2 * count; i += 2) {
      words[2] = blockHashes[i]!;
      words[3] = blockHashes[i + 1]!;
      // The result is the parent of the next block.
      this.#kernel.bytesTo(0, 16, 16);
      words[0] = sequence[i] = words[4]!;
      words[1] = sequence[i + 1] = words[5]!;
    }
    return sequence;
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

/** So that what follows begins at a multiple of eight bytes. */
function evenWords(words: number): number {
  return (words + 1) & ~1;
}

/** Cached roots (block size x LoRA x salt). Salts come from clients, so the cache is dropped when it is full. */
const rootsMax = 4096;
/** A root with a longer key is not cached. */
const rootLengthMax = 1024;

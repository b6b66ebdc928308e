// Converts the content ids of a workload to sequence hashes of engine blocks, without tokens.
//
// Let t be the last token of an engine block. The content up to t is named by (content block id, position of t in it)
// if the workload gives an id, else by (request, t); see `WorkloadRequest`. Ids are chained, so the name covers
// everything before. The hash is a bijection of the name: unequal content never has equal hashes.

import type { BlockHashes } from '../core/types.ts';
import type { SequenceHasher } from '../sim/index.ts';
import type { WorkloadRequest } from '../trace/workload.ts';

/** Sequence hashes of the full blocks of a prompt. O(blocks) @param index index of the request in its workload */
export function hashPrompt(
  request: WorkloadRequest,
  index: number,
  contentBlockTokens: number,
  blockSize: number,
): BlockHashes {
  const count = Math.floor(request.isl / blockSize);
  const sequence = new Uint32Array(2 * count);
  const { blockIds } = request;
  let block = 0;
  let contentEnd = 0;
  for (let content = 0; content < blockIds.length && block < count; content++) {
    const contentFrom = contentEnd;
    contentEnd += contentBlockTokens;
    const until = Math.min(count, Math.floor(contentEnd / blockSize));
    writeHashes(
      wordOfContent(blockIds[content]!),
      (block + 1) * blockSize - 1 - contentFrom,
      blockSize,
      sequence,
      block,
      until,
    );
    block = Math.max(block, until);
  }
  writeHashes(wordOfRequest(index), (block + 1) * blockSize - 1, blockSize, sequence, block, count);
  return { blockSize, count, sequence, blockTokens: blockSize };
}

/** Unique hashes for the blocks of one request after its full prompt blocks. */
export class ContentHasher implements SequenceHasher {
  readonly #blockSize: number;
  readonly #own: number;

  constructor(blockSize: number, index: number) {
    this.#blockSize = blockSize;
    this.#own = wordOfRequest(index);
  }

  next(_tokens: Uint32Array, _from: number, to: number, out: Uint32Array, at: number): void {
    writeHash(this.#own, to - 1, this.#blockSize, out, at);
  }
}

/** Even words are content blocks (ids are below 2^31), odd ones are requests. */
const wordOfContent = (id: number): number => mixed(id * 2);
const wordOfRequest = (index: number): number => mixed(index * 2 + 1);

/**
 * Neighbouring blocks get neighbouring low words. Tables indexed by the low bits (the engine's) then store them next to
 * each other, which matters because cache misses take most of the lab's time. `place` is below 2^20 blocks.
 */
function writeHash(word: number, place: number, blockSize: number, out: Uint32Array, at: number): void {
  out[at] = lowWord(word, place, blockSize);
  out[at + 1] = word;
}

/** Writes the hashes of blocks `from` .. `until` - 1, the first at `place`. Their low words differ by one each. */
function writeHashes(
  word: number,
  place: number,
  blockSize: number,
  out: Uint32Array,
  from: number,
  until: number,
): void {
  let low = lowWord(word, place, blockSize);
  for (let block = from; block < until; block++) {
    out[2 * block] = low++;
    out[2 * block + 1] = word;
  }
}

function lowWord(word: number, place: number, blockSize: number): number {
  const blocks = Math.floor(place / blockSize);
  const rest = place - blocks * blockSize;
  return Math.imul(word, 0xc2b2ae3d) + blocks + (rest << 20);
}

/** A bijection of 32 bits. */
function mixed(word: number): number {
  let z = Math.imul(word ^ (word >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return z ^ (z >>> 15);
}

// Remembers the latest batches of a publisher, so that one that comes again is told from one of a new publisher.

/** Batches remembered. */
const rememberedMax = 256;
/** Bytes looked at: an engine puts its clock first, so that two batches of one number differ early. */
const bytesMax = 64;

export class FeedMemory {
  readonly #seqs = new Float64Array(rememberedMax).fill(-1);
  readonly #prints = new Float64Array(rememberedMax);

  add(seq: number, payload: Uint8Array): void {
    this.#seqs[seq % rememberedMax] = seq;
    this.#prints[seq % rememberedMax] = fingerprint(payload);
  }

  /** Whether the batch of this number was this one. */
  has(seq: number, payload: Uint8Array): boolean {
    const at = seq % rememberedMax;
    return this.#seqs[at] === seq && this.#prints[at] === fingerprint(payload);
  }

  clear(): void {
    this.#seqs.fill(-1);
  }
}

/** FNV-1a of the first bytes, and the length: below 2^53 for any payload that is read at all. */
function fingerprint(payload: Uint8Array): number {
  let hash = 0x811c9dc5;
  const end = Math.min(payload.length, bytesMax);
  for (let i = 0; i < end; i++) hash = Math.imul(hash ^ payload[i]!, 0x01000193);
  return (hash >>> 0) + 4294967296 * (payload.length % 2 ** 20);
}

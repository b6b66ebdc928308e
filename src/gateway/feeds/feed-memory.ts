// Fingerprints of a publisher's latest batches: a redelivered batch can be distinguished from a new publisher's.

const rememberedMax = 256;
/** Leading bytes hashed. A batch begins with the engine's clock, so two batches with the same number differ early. */
const bytesMax = 64;

export class FeedMemory {
  readonly #seqs = new Float64Array(rememberedMax).fill(-1);
  readonly #prints = new Float64Array(rememberedMax);

  add(seq: number, payload: Uint8Array): void {
    this.#seqs[seq % rememberedMax] = seq;
    this.#prints[seq % rememberedMax] = fingerprint(payload);
  }

  /** Whether the remembered batch of this number had this payload. */
  has(seq: number, payload: Uint8Array): boolean {
    const at = seq % rememberedMax;
    return this.#seqs[at] === seq && this.#prints[at] === fingerprint(payload);
  }

  clear(): void {
    this.#seqs.fill(-1);
  }
}

/** FNV-1a of the leading bytes, combined with the length: an integer below 2^53. */
function fingerprint(payload: Uint8Array): number {
  let hash = 0x811c9dc5;
  const end = Math.min(payload.length, bytesMax);
  for (let i = 0; i < end; i++) hash = Math.imul(hash ^ payload[i]!, 0x01000193);
  return (hash >>> 0) + 4294967296 * (payload.length % 2 ** 20);
}

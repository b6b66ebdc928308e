// Fingerprints of a publisher's latest batches: a redelivered batch can be distinguished from a new publisher's.

export const rememberedMax = 256;
/** Leading bytes hashed. A batch begins with the engine's clock, so two batches with the same number differ early. */
const bytesMax = 64;

/** Number and fingerprint of a batch: the same in every process. */
export type BatchPrint = readonly [seq: number, print: number];

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

  /** Whether the batch of this number is remembered, with another payload. */
  differs(seq: number, payload: Uint8Array): boolean {
    return this.#seqs[seq % rememberedMax] === seq && !this.has(seq, payload);
  }

  /** Number and fingerprint of the latest batches. */
  prints(): BatchPrint[] {
    return [...this.#seqs].flatMap((seq, at) => (seq < 0 ? [] : [[seq, this.#prints[at]!] as const]));
  }

  /** Whether no batch is remembered here and there with different fingerprints. */
  agrees(prints: readonly BatchPrint[]): boolean {
    return prints.every(([seq, print]) => {
      const at = seq % rememberedMax;
      return this.#seqs[at] !== seq || this.#prints[at] === print;
    });
  }

  /** Remembers these batches instead. */
  adopt(prints: readonly BatchPrint[]): void {
    this.clear();
    for (const [seq, print] of prints) {
      this.#seqs[seq % rememberedMax] = seq;
      this.#prints[seq % rememberedMax] = print;
    }
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

// The hottest prefixes of the prompts: how often they come, and how many tokens they save, over the last hour.
//
// Decisions are sampled, and of each prompt only some depths are looked at (1, 2, 3, 4, 6, 8, 12, ... blocks), so the cost
// does not grow with traffic or length. What is kept of a prompt are hashes and lengths.

import type { BlockHashes, Decision, Prompt } from '../../core/index.ts';
import { HeavyHitters } from './heavy-hitters.ts';

/** Prefixes followed at a time, 550 bytes each. */
export const prefixesMax = 1024;
/** Decisions looked at per second. */
export const prefixSamplesPerSMax = 100;
export const hitPoints = 60;
export const hitStepMs = 60_000;
const ticksPerHitPoint = hitStepMs / 1000;
/** Counts are halved so often. */
const halvingPoints = 10;
/** Names of pools and models kept; further ones are not followed. */
const namesMax = 1024;

/** A prefix as it stands; requests and tokens are estimates if decisions are sampled. */
export interface HotPrefix {
  readonly low: number;
  readonly high: number;
  /** Position of the next shorter prefix of the same prompt that is followed; -1: none. */
  readonly parent: number;
  readonly pool: string;
  readonly model: string;
  readonly blocks: number;
  readonly tokens: number;
  readonly blockSize: number;
  readonly requests: number;
  readonly errorMax: number;
  readonly savedTokens: number;
  readonly hits: readonly number[];
  readonly lastMs: number;
}

export class PrefixHeat {
  readonly #hitters = new HeavyHitters(prefixesMax);
  readonly #hits = new Float32Array(prefixesMax * hitPoints);
  readonly #saved = new Float32Array(prefixesMax * hitPoints);
  readonly #blocks = new Uint32Array(prefixesMax);
  readonly #tokens = new Float64Array(prefixesMax);
  readonly #blockSize = new Uint32Array(prefixesMax);
  readonly #parentLow = new Uint32Array(prefixesMax);
  readonly #parentHigh = new Uint32Array(prefixesMax);
  readonly #hasParent = new Uint8Array(prefixesMax);
  readonly #lastMs = new Float64Array(prefixesMax);
  readonly #pool = new Uint16Array(prefixesMax);
  readonly #model = new Uint16Array(prefixesMax);
  readonly #names: string[] = [];
  readonly #nameIds = new Map<string, number>();
  #ticks = 0;
  #point = 0;
  #offered = 0;
  #stride = 1;

  /** The share of decisions that is looked at. */
  get sampledShare(): number {
    return 1 / this.#stride;
  }

  get givenUp(): number {
    return this.#hitters.givenUp;
  }

  /** Whether to `note` this decision; to be asked once for each. */
  wants(): boolean {
    this.#offered += 1;
    return this.#offered % this.#stride === 0;
  }

  /** @param timeMs Unix time. O(log(longest prompt) x log(prefixesMax)) for each prompt */
  note(pool: string, model: string, prompts: readonly Prompt[], { overlapTokens }: Decision, timeMs: number): void {
    const poolId = this.#nameId(pool);
    const modelId = this.#nameId(model);
    if (poolId < 0 || modelId < 0) return;
    for (const { hashes } of prompts) {
      const [first] = hashes;
      if (first !== undefined) this.#follow(first, poolId, modelId, overlapTokens / prompts.length, timeMs);
    }
  }

  /** Once a second. */
  tick(): void {
    this.#stride = Math.max(1, Math.ceil(this.#offered / prefixSamplesPerSMax));
    this.#offered = 0;
    this.#ticks += 1;
    if (this.#ticks % ticksPerHitPoint !== 0) return;
    this.#point = (this.#point + 1) % hitPoints;
    for (let slot = 0; slot < this.#hitters.used; slot++) {
      this.#hits[slot * hitPoints + this.#point] = 0;
      this.#saved[slot * hitPoints + this.#point] = 0;
    }
    if (this.#ticks % (halvingPoints * ticksPerHitPoint) === 0) this.#hitters.halve();
  }

  /** All that are followed. O(prefixesMax x hitPoints) */
  all(): HotPrefix[] {
    const { used, low, high, error } = this.#hitters;
    return Array.from({ length: used }, (_, slot) => {
      const hits = this.#series(this.#hits, slot);
      return {
        low: low[slot]!,
        high: high[slot]!,
        parent: this.#hasParent[slot] === 0 ? -1 : this.#hitters.find(this.#parentLow[slot]!, this.#parentHigh[slot]!),
        pool: this.#names[this.#pool[slot]!]!,
        model: this.#names[this.#model[slot]!]!,
        blocks: this.#blocks[slot]!,
        tokens: this.#tokens[slot]!,
        blockSize: this.#blockSize[slot]!,
        requests: hits.reduce((sum, one) => sum + one, 0),
        errorMax: error[slot]!,
        savedTokens: this.#series(this.#saved, slot).reduce((sum, one) => sum + one, 0),
        hits,
        lastMs: this.#lastMs[slot]!,
      };
    });
  }

  #follow(hashes: BlockHashes, pool: number, model: number, overlapTokens: number, timeMs: number): void {
    const { sequence, count, blockTokens, blockSize } = hashes;
    let parent = 0;
    for (let depth = 1; depth <= count; depth = nextDepth(depth)) {
      const at = 2 * (depth - 1);
      const slot = this.#hitters.add(sequence[at]!, sequence[at + 1]!, this.#stride);
      const tokens = Math.round(depth * blockTokens);
      if (this.#hitters.isNew) {
        this.#hits.fill(0, slot * hitPoints, (slot + 1) * hitPoints);
        this.#saved.fill(0, slot * hitPoints, (slot + 1) * hitPoints);
        this.#blocks[slot] = depth;
        this.#tokens[slot] = tokens;
        this.#blockSize[slot] = blockSize;
        this.#hasParent[slot] = parent === 0 ? 0 : 1;
        this.#parentLow[slot] = parent === 0 ? 0 : sequence[2 * (parent - 1)]!;
        this.#parentHigh[slot] = parent === 0 ? 0 : sequence[2 * (parent - 1) + 1]!;
        this.#pool[slot] = pool;
        this.#model[slot] = model;
      }
      this.#hits[slot * hitPoints + this.#point]! += this.#stride;
      this.#saved[slot * hitPoints + this.#point]! += Math.min(tokens, overlapTokens) * this.#stride;
      this.#lastMs[slot] = timeMs;
      parent = depth;
    }
  }

  /** Oldest first. */
  #series(ring: Float32Array, slot: number): number[] {
    return Array.from({ length: hitPoints }, (_, i) => {
      return ring[slot * hitPoints + ((this.#point + 1 + i) % hitPoints)]!;
    });
  }

  /** -1: there are too many names. */
  #nameId(name: string): number {
    const known = this.#nameIds.get(name);
    if (known !== undefined) return known;
    if (this.#names.length >= namesMax) return -1;
    this.#nameIds.set(name, this.#names.length);
    return this.#names.push(name) - 1;
  }
}

/** 1, 2, 3, 4, 6, 8, 12, 16, 24, ... */
export function nextDepth(depth: number): number {
  const power = 2 ** Math.floor(Math.log2(depth));
  return depth === 1 ? 2 : depth === power ? depth + power / 2 : 2 * power;
}

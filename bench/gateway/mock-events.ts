// KV events of the mock engines: each engine caches the shared beginnings and its latest prompts.

import type { BlocksStored, KvEvent } from '../../src/core/index.ts';
import { KvPublisher } from '../../src/worker/kv-publisher.ts';
import { blockSize, type PromptBlocks } from './bodies.ts';
import type { MockUsage } from './mock-engines.ts';

/** Prompts whose own blocks an engine keeps; older ones are evicted. */
const keptPrompts = 64;

/** Cache of one engine, which publishes its changes. */
class MockCache {
  readonly publisher: KvPublisher;
  readonly #held = new Set<string>();
  readonly #kept: Uint32Array[] = [];

  constructor(publisher: KvPublisher) {
    this.publisher = publisher;
  }

  /** @param sharedBlocks leading blocks that belong to a shared beginning and are never evicted */
  add({ ids, sequence, count }: PromptBlocks, sharedBlocks: number): MockUsage {
    let held = 0;
    while (held < count && this.#held.has(keyOf(sequence, held))) held += 1;
    const stored: BlocksStored = {
      kind: 'stored',
      hashes: sequence.slice(2 * held, 2 * count),
      parent: held === 0 ? null : sequence.slice(2 * held - 2, 2 * held),
      tokens: ids.subarray(held * blockSize, count * blockSize),
      blockSize,
      lora: null,
      salt: null,
      extras: null,
    };
    const events: KvEvent[] = held === count ? [] : [stored];
    for (let block = held; block < count; block++) this.#held.add(keyOf(sequence, block));
    this.#kept.push(sequence.subarray(2 * Math.max(held, sharedBlocks), 2 * count));
    if (this.#kept.length > keptPrompts) {
      const hashes = this.#kept.shift()!;
      for (let block = 0; block < hashes.length / 2; block++) this.#held.delete(keyOf(hashes, block));
      events.push({ kind: 'removed', hashes: hashes.slice() });
    }
    this.publisher.publish(Date.now() / 1000, events);
    return { promptTokens: ids.length, cachedTokens: Math.min(held * blockSize, ids.length - 1) };
  }
}

export class MockEvents {
  readonly #caches: readonly MockCache[];
  readonly #sharedBlocks: number[] = [];
  readonly #first: (Uint32Array | undefined)[] = [];

  private constructor(caches: readonly MockCache[]) {
    this.#caches = caches;
  }

  static async open(engines: number): Promise<MockEvents> {
    const caches: MockCache[] = [];
    for (let engine = 0; engine < engines; engine++) {
      const options = { host: '127.0.0.1', port: 0, connect: null, topic: 'kv-events', format: 'map' } as const;
      const rest = { hashes: 'int', replay: 'topic', replayPort: 0, bufferSteps: 1000 } as const;
      caches.push(new MockCache(await KvPublisher.open({ ...options, ...rest })));
    }
    return new MockEvents(caches);
  }

  endpoint(engine: number): string {
    return this.#caches[engine]!.publisher.endpoint;
  }

  replayEndpoint(engine: number): string {
    return this.#caches[engine]!.publisher.replayEndpoint!;
  }

  /** To be called when the engine has computed this prompt. */
  computed(engine: number, blocks: PromptBlocks): MockUsage {
    return this.#caches[engine]!.add(blocks, this.#sharedOf(blocks));
  }

  /** Blocks that two bodies with the same beginning have in common; none until two have been seen. */
  #sharedOf({ sequence, count, beginning }: PromptBlocks): number {
    const known = this.#sharedBlocks[beginning];
    if (known !== undefined) return Math.min(known, count);
    const other = this.#first[beginning];
    this.#first[beginning] ??= sequence;
    if (other === undefined) return count;
    let common = 0;
    while (common < count && keyOf(sequence, common) === keyOf(other, common)) common += 1;
    this.#sharedBlocks[beginning] = common;
    return common;
  }

  close(): void {
    for (const { publisher } of this.#caches) publisher.close();
  }
}

function keyOf(sequence: Uint32Array, block: number): string {
  return `${sequence[2 * block]!},${sequence[2 * block + 1]!}`;
}

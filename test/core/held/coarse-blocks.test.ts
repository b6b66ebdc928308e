import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockHasher } from '../../../src/core/blocks/block-hash.ts';
import { CoarseBlocks } from '../../../src/core/held/coarse-blocks.ts';
import type { BlocksStored, KvEvent } from '../../../src/core/types.ts';
import { FeedCoarseTwin } from '../../model/feed-coarse-twin.ts';

const hasher = new BlockHasher();

class Subject {
  readonly held = new Set<string>();
  readonly blocks: CoarseBlocks;

  constructor(pageSize: number, blockSize: number) {
    this.blocks = new CoarseBlocks(hasher, pageSize, blockSize, {
      held: (low, high) => {
        expect(this.held.has(`${low},${high}`)).toBe(false);
        this.held.add(`${low},${high}`);
      },
      dropped: (low, high) => {
        expect(this.held.delete(`${low},${high}`)).toBe(true);
      },
    });
  }

  apply(event: KvEvent): void {
    if (event.kind === 'stored') this.blocks.store(event);
    else if (event.kind === 'removed') this.blocks.remove(event);
    else {
      this.blocks.clear();
      // The owner drops them.
      this.held.clear();
    }
  }
}

/** Pages of one token each, one event for all; the handle of a page is its chain read as a number. */
function pages(tokens: number[], parent: number[] = [], fields: Partial<BlocksStored> = {}): BlocksStored {
  const handle = (chain: number[]): [number, number] => [
    chain.reduce((sum, token) => sum * 10 + token, 1),
    chain.length,
  ];
  return {
    kind: 'stored',
    hashes: Uint32Array.from(tokens.flatMap((_, i) => handle([...parent, ...tokens.slice(0, i + 1)]))),
    parent: parent.length === 0 ? null : Uint32Array.from(handle(parent)),
    tokens: Uint32Array.from(tokens),
    blockSize: 1,
    lora: null,
    salt: null,
    extras: null,
    ...fields,
  };
}

function removal(...chains: number[][]): KvEvent {
  return { kind: 'removed', hashes: Uint32Array.from(chains.flatMap((chain) => [...pages(chain).hashes.slice(-2)])) };
}

const prompt = (tokens: number[], blockSize: number): string[] => {
  const { sequence, count } = hasher.hash(Uint32Array.from(tokens), blockSize);
  return Array.from({ length: count }, (_, block) => `${sequence[2 * block]},${sequence[2 * block + 1]}`);
};

describe('CoarseBlocks', () => {
  it("holds a prompt's blocks however the events are cut", () => {
    const subject = new Subject(1, 4);
    subject.apply(pages([1, 2, 3]));
    expect(subject.held.size).toBe(0);
    subject.apply(pages([4, 5], [1, 2, 3]));
    subject.apply(pages([6, 7, 8, 9], [1, 2, 3, 4, 5]));
    expect([...subject.held]).toEqual(prompt([1, 2, 3, 4, 5, 6, 7, 8, 9], 4));
  });

  it('drops a block with any of its pages, and holds it again with that page', () => {
    const subject = new Subject(1, 4);
    subject.apply(pages([1, 2, 3, 4, 5, 6, 7, 8]));
    const [first, second] = prompt([1, 2, 3, 4, 5, 6, 7, 8], 4);
    for (const lost of [1, 2, 3, 4]) {
      const chain = [1, 2, 3, 4].slice(0, lost);
      subject.apply(removal(chain));
      expect([...subject.held]).toEqual([second]);
      if (lost === 1) subject.apply(pages([1]));
      else subject.apply(pages([lost], chain.slice(0, -1)));
      expect(subject.held).toEqual(new Set([first, second]));
    }
  });

  it('separates branches within one block, and drops pages that have none below', () => {
    const subject = new Subject(1, 2);
    subject.apply(pages([1, 2]));
    subject.apply(pages([3], [1]));
    expect(subject.held).toEqual(new Set([...prompt([1, 2], 2), ...prompt([1, 3], 2)]));
    subject.apply(removal([1]));
    expect(subject.held.size).toBe(0);
    subject.apply(removal([1, 2], [1, 3]));
    expect(subject.blocks.pageCount).toBe(0);
  });

  it('counts copies, orphans and unknown pages', () => {
    const subject = new Subject(1, 2);
    subject.apply(pages([1, 2]));
    subject.apply(pages([2], [1]));
    subject.apply(removal([1, 2]));
    expect(subject.held.size).toBe(1);
    expect(subject.blocks.store(pages([9], [7, 8]))).toEqual({ appliedBlocks: 0, orphanBlocks: 1, unknownBlocks: 0 });
    const again = removal([1, 2], [5]);
    expect(again.kind === 'removed' && subject.blocks.remove(again)).toMatchObject({
      appliedBlocks: 1,
      unknownBlocks: 1,
    });
    expect(subject.held.size).toBe(0);
  });

  it('does not match a block with media to a prompt with the same tokens', () => {
    const subject = new Subject(1, 2);
    subject.apply(pages([1, 2, 3, 4], [], { extras: [null, 'image', null, null] }));
    expect(subject.held.size).toBe(2);
    for (const block of prompt([1, 2, 3, 4], 2)) expect(subject.held.has(block)).toBe(false);
  });

  it('equals its naive twin after every stream of events', () => {
    const chain = fc.array(fc.integer({ min: 1, max: 2 }), { maxLength: 9 });
    const event = fc.oneof(
      { weight: 10, arbitrary: fc.tuple(chain, chain).map(([parent, tokens]) => pages(tokens, parent)) },
      { weight: 10, arbitrary: fc.array(chain.filter((list) => list.length > 0)).map((list) => removal(...list)) },
      { weight: 1, arbitrary: fc.constant<KvEvent>({ kind: 'cleared' }) },
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), fc.constantFrom(2, 3, 4), (events, blockSize) => {
        const subject = new Subject(1, blockSize);
        const twin = new FeedCoarseTwin(hasher, 1, blockSize);
        for (const one of events) {
          subject.apply(one);
          twin.apply(one);
          expect(subject.held).toEqual(twin.heldBlocks());
        }
        subject.apply({ kind: 'cleared' });
        expect([subject.blocks.handleCount, subject.blocks.pageCount]).toEqual([0, 0]);
      }),
      { numRuns: 300 },
    );
  });

  it('takes constant memory under churn', () => {
    const subject = new Subject(1, 4);
    const round = (): void => {
      for (let token = 1; token <= 9; token++) subject.apply(pages([token, 1, 2, 3, 4, 5, 6, 7]));
      for (let token = 9; token >= 1; token--) {
        const all = pages([token, 1, 2, 3, 4, 5, 6, 7]).hashes;
        subject.apply({ kind: 'removed', hashes: all });
      }
    };
    round();
    const { bytes } = subject.blocks;
    for (let i = 0; i < 50; i++) round();
    expect(subject.blocks.bytes).toBe(bytes);
    expect(subject.blocks.pageCount).toBe(0);
  });
});

it('tells of a block with very many pages, whose first one comes last', () => {
  const pageCount = 16_384;
  const subject = new Subject(1, pageCount);
  const hashes = Uint32Array.from({ length: 2 * pageCount }, (_, i) => i + 1);
  const tokens = Uint32Array.from({ length: pageCount }, (_, i) => i);
  const block: BlocksStored = { ...pages([]), hashes, tokens };
  const first: KvEvent = { kind: 'removed', hashes: hashes.subarray(0, 2) };
  subject.apply(block);
  subject.apply(first);
  expect(subject.held.size).toBe(0);
  subject.apply({ ...block, hashes: hashes.subarray(0, 2), tokens: tokens.subarray(0, 1) });
  expect(subject.held.size).toBe(1);
});

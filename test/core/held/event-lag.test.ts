import { beforeEach, describe, expect, it } from 'vitest';
import { BlockHasher } from '../../../src/core/blocks/block-hash.ts';
import { noBlock } from '../../../src/core/held/block-numbers.ts';
import { EventLag } from '../../../src/core/held/event-lag.ts';
import { PrefixIndex } from '../../../src/core/held/prefix-index.ts';

const hasher = new BlockHasher();
const prompt = (first: number) => hasher.hash(Uint32Array.of(first, 2, 3, 4), 4);
let index: PrefixIndex;
let lag: EventLag;

beforeEach(() => {
  index = new PrefixIndex(hasher);
  index.addWorker(0);
  lag = new EventLag(index);
  lag.reset(0);
});

function store(first: number, nowMs: number): void {
  const [low, high] = prompt(first).sequence;
  index.addCopy(0, low!, high!, noBlock, low!, high!);
  lag.stored(0, nowMs);
}

describe('EventLag', () => {
  it('is the time from the first token to the event', () => {
    lag.computed(0, prompt(1), 100);
    store(1, 140);
    expect(lag.lagMs(0)).toBe(40);
    expect(lag.missed(0, 10_000)).toBe(0);
  });

  it('counts prompts in a row that no event announced in time', () => {
    for (const first of [1, 2, 3]) lag.computed(0, prompt(first), first);
    expect(lag.missed(0, 1000)).toBe(0);
    expect(lag.missed(0, 3002)).toBe(1);
    expect(lag.missed(0, 4000)).toBe(3);
    lag.computed(0, prompt(4), 5000);
    store(4, 5001);
    expect(lag.missed(0, 5001)).toBe(0);
  });

  it('keeps watching after any number of missed events', () => {
    for (let first = 0; first < 100; first++) lag.computed(0, prompt(first), first * 1000);
    expect(lag.missed(0, 200_000)).toBe(100);
    lag.computed(0, prompt(500), 200_000);
    store(500, 200_007);
    expect(lag.missed(0, 200_007)).toBe(0);
  });
});

// Keys that share one place under the hash function of earlier versions, and any that is public, are spread like others.

import { expect, it } from 'vitest';
import { HashTable } from '../../../src/core/blocks/hash-table.ts';
import { spread } from '../../../src/core/blocks/home.ts';
import { Random } from '../../../src/core/random.ts';

const count = 1 << 14;
const [factor, highFactor] = [0x9e3779b1, 0x85ebca6b];

/** Keys whose places under `(low ^ high * highFactor) * factor` all begin with 18 zeros. */
function chosenKeys(): Uint32Array {
  const keys = new Uint32Array(2 * count);
  for (let i = 0; i < count; i++) {
    keys[2 * i] = (i & 3) << 2;
    keys[2 * i + 1] = Math.imul(Math.imul(i + 1, inverse(factor)) ^ (i & 3), inverse(highFactor));
  }
  return keys;
}

/** Of an odd number, modulo 2^32. */
function inverse(odd: number): number {
  let found = odd;
  for (let i = 0; i < 5; i++) found = Math.imul(found, 2 - Math.imul(odd, found));
  return found;
}

function randomKeys(): Uint32Array {
  const random = new Random(1);
  return Uint32Array.from({ length: 2 * count }, () => random.below(2 ** 32));
}

/** How many keys of a table with two places for each key have a place that another one has. */
function sharing(keys: Uint32Array): number {
  const places = new Set<number>();
  for (let i = 0; i < keys.length; i += 2) places.add(spread(keys[i]!, keys[i + 1]!) >>> (32 - Math.log2(2 * count)));
  return keys.length / 2 - places.size;
}

it('gives chosen keys places like those of random ones', () => {
  expect(sharing(chosenKeys())).toBeLessThan(2 * sharing(randomKeys()));
});

it('does not walk all chosen keys of a table for each', () => {
  const timeOf = (keys: Uint32Array): number => {
    const table = new HashTable(1);
    const startMs = performance.now();
    for (let i = 0; i < keys.length; i += 2) table.insert(keys[i]!, keys[i + 1]!);
    for (let i = 0; i < keys.length; i += 2) table.remove(table.find(keys[i]!, keys[i + 1]!));
    return performance.now() - startMs;
  };
  // With all keys in one place this is several hundred times as long.
  expect(timeOf(chosenKeys())).toBeLessThan(20 * (timeOf(randomKeys()) + timeOf(randomKeys())));
});

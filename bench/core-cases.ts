// The seven cases that an exact index answers correctly and the indexes of known routers do not.

import { PrefixIndex } from '../src/core/held/prefix-index.ts';
import { BlockHasher, type KvEvent } from '../src/core/index.ts';

const hasher = new BlockHasher();
const chain = Uint32Array.from({ length: 96 }, (_, token) => token);

/** Blocks of one token: `from` .. `to` - 1 of the chain, under handles of their positions. */
function stored(from: number, to: number): KvEvent {
  const hashes = handles(from, to);
  const parent = from === 0 ? null : handles(from - 1, from);
  const tokens = chain.slice(from, to);
  return { kind: 'stored', hashes, parent, tokens, blockSize: 1, lora: null, salt: null, extras: null };
}

const removed = (from: number, to: number): KvEvent => ({ kind: 'removed', hashes: handles(from, to) });

function handles(from: number, to: number): Uint32Array {
  return Uint32Array.from({ length: 2 * (to - from) }, (_, word) => (word % 2 === 0 ? from + word / 2 : 7));
}

class Case {
  readonly index: PrefixIndex = new PrefixIndex(hasher);

  constructor(...workers: KvEvent[][]) {
    for (const [worker, events] of workers.entries()) {
      this.index.addWorker(worker);
      for (const event of events) this.index.apply(worker, event);
    }
  }

  overlaps(tokens: Uint32Array = chain): string {
    const out = new Int32Array(8);
    this.index.overlaps(hasher.hash(tokens, 1), out, 8);
    return out.join(' ').replace(/( 0)+$/, '');
  }
}

function bytesAfterChurn(): string {
  const { index } = new Case([stored(0, 96)]);
  const before = index.bytes;
  for (let turn = 0; turn < 1000; turn++) {
    index.apply(0, removed(48, 96));
    index.apply(0, stored(48, 96));
  }
  return String(index.bytes - before);
}

/** Names of the cases that came out wrong. */
export function wrongCases(): string[] {
  const parted = chain.slice();
  parted[5] = 1000;
  const cases: [name: string, got: string, right: string][] = [
    ['parts in block 5, same contents after it', new Case([stored(0, 96)]).overlaps(parted), '5'],
    ['block 10 removed, the deeper ones held', new Case([stored(0, 96), removed(10, 11)]).overlaps(), '10'],
    ['20 blocks beside a hole', new Case([stored(0, 20)], [stored(0, 96), removed(40, 41)]).overlaps(), '20 40'],
    ['removed and stored again', new Case([stored(0, 96), removed(10, 11), stored(10, 11)]).overlaps(), '96'],
    ['two copies, one removed', new Case([stored(0, 96), stored(0, 96), removed(0, 96)]).overlaps(), '96'],
    ['memory under churn', bytesAfterChurn(), '0'],
    ['a holder of block 0 alone', new Case([stored(0, 1)]).overlaps(), '1'],
  ];
  return cases.filter(([, got, right]) => got !== right).map(([name]) => name);
}

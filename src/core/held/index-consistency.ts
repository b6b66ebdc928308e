// Recomputes the totals of a prefix index from its tables, for tests.

import { assert } from '../assert.ts';
import type { BlockRows } from './block-rows.ts';
import type { Holdings } from './holdings.ts';

/** @param holdings by worker @throws Error naming the total that differs */
export function assertIndexConsistent(rows: BlockRows, holdings: readonly (Holdings | undefined)[]): void {
  rows.assertConsistent();
  let bits = 0;
  for (let block = 0; block < rows.end; block++) bits += rows.holders(block);
  let held = 0;
  for (const [worker, of] of holdings.entries()) {
    if (!of) continue;
    assertHandlesConsistent(rows, worker, of);
    held += of.blocks;
  }
  assert(bits === held, 'set bits = held blocks of all workers');
}

function assertHandlesConsistent(rows: BlockRows, worker: number, holdings: Holdings): void {
  const { handles, copies, shared, handlesAreHashes } = holdings;
  handles.assertConsistent();
  for (let at = copies.next(0); at >= 0; at = copies.next(at + copies.stride)) {
    assert(handles.find(copies.slots[at]!, copies.slots[at + 1]!) >= 0, 'a block with further copies has a handle');
  }
  let further = 0;
  for (let at = shared.next(0); at >= 0; at = shared.next(at + shared.stride)) further += shared.slots[at + 2]!;
  for (let at = handles.next(0); at >= 0; at = handles.next(at + handles.stride)) {
    assert(rows.has(worker, handles.entries[at + 2]!), 'the block of a handle is held');
  }
  assert(!handlesAreHashes || handles.size === 0, 'handles that are hashes are not kept');
  const isTold = handlesAreHashes || handles.size - further === holdings.blocks - holdings.presumed;
  assert(isTold, 'held blocks = handles - further handles + presumed blocks');
}

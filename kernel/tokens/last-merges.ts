// How each token is merged from its own bytes: which merge comes last. Learned when a token is first asked for.

import { latestMerge, leftIn, mergeIn, mergeOf, mergeWord, ranksRose, rightIn } from './merges';
import { tokenSize, tokenStart } from './vocabulary';

/** A slot of `merges` for each id: the last merge. 0: not known yet. */
let lastMerges: usize = 0;
/** Ids of one token while its merges are looked at. */
let scratch: usize = 0;

/** Of a single byte: it was there before any merge. */
const ofByte: u64 = 0xfffff << 44;
/** Its bytes merge into something else, so it is never a token of a text. */
export const unreachable: u64 = 0xffffff;
/** A merge of it had a lower rank than the one before, which `isPair` does not understand. */
export const unordered: u64 = 0xfffffe;

/** @param at eight bytes for each id, all 0 @param scratchAt four for each byte of the longest token */
export function placeLastMerges(at: usize, scratchAt: usize): void {
  lastMerges = at;
  scratch = scratchAt;
}

@inline export function lastMerge(id: u32): u64 {
  const known = load<u64>(lastMerges + (<usize>id << 3));
  return known != 0 ? known : learn(id);
}

function learn(id: u32): u64 {
  const at = tokenStart(id);
  const end = mergeWord(at, at + tokenSize(id), scratch);
  let merge: u64;
  if (end - scratch != 4 || load<u32>(scratch) != id) merge = unreachable;
  else if (!ranksRose) merge = unordered;
  else merge = latestMerge == 0 ? ofByte : latestMerge;
  store<u64>(lastMerges + (<usize>id << 3), merge);
  return merge;
}

/**
 * Whether the bytes of two tokens together merge into just these two. Looks at the merges of both from the last one back,
 * in the order in which they happen side by side: at each moment the symbols beside the border must not merge before one
 * of them is merged away. Neither token may be `unreachable` or `unordered`.
 */
export function isPair(left: u32, right: u32): bool {
  if (mergeOf(left, right) != 0) return false;
  let ofLeft = lastMerge(left);
  let ofRight = lastMerge(right);
  while (true) {
    // Among equal ranks the left one is merged first, so the right one is taken back first.
    if (mergeIn(ofLeft) > mergeIn(ofRight)) {
      left = rightIn(ofLeft);
      const merge = mergeOf(left, right);
      if (merge != 0 && merge < mergeIn(ofLeft)) return false;
      ofLeft = lastMerge(left);
    } else {
      if (mergeIn(ofRight) == 0) return true;
      right = leftIn(ofRight);
      const merge = mergeOf(left, right);
      if (merge != 0 && merge <= mergeIn(ofRight)) return false;
      ofRight = lastMerge(right);
    }
  }
}

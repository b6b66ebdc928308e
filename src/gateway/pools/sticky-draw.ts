// Draws by a key: the same key always gets the same result, in every process, and a change of weights moves few keys.

/** Longer keys are cut: they come from clients. */
const keyLengthMax = 256;

/** A number above 0 and below 1, evenly spread over keys. @param purpose separates the draws of one key */
export function drawOf(key: string, purpose: string): number {
  const [high, low] = hashOf(`${purpose}\n${key.slice(0, keyLengthMax)}`);
  return ((high >>> 11) * 2 ** 32 + (low >>> 0) + 0.5) / 2 ** 53;
}

/**
 * Weighted rendezvous hashing: a target whose weight grows only takes keys, and a target that leaves only gives its own.
 * @param weights by the targets' names; at least one is above 0
 * @returns the position of the chosen target
 */
export function weightedDraw(key: string, weights: readonly (readonly [target: string, weight: number])[]): number {
  let chosen = -1;
  let most = 0;
  for (const [index, [target, weight]] of weights.entries()) {
    const won = weight / -Math.log(drawOf(key, target));
    if (won <= most) continue;
    most = won;
    chosen = index;
  }
  return chosen;
}

/** Two 32-bit hashes of the text (FNV-1a with two offsets, and the finisher of MurmurHash3). */
function hashOf(text: string): [number, number] {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x85ebca6b) ^ (b >>> 13);
  }
  return [finished(a ^ b), finished(b + 0x9e3779b9)];
}

function finished(hash: number): number {
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

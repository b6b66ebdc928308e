// The check of an invariant: a failure is a bug in kvoyant, never a caller's bad input.

/** @throws Error naming the broken invariant. */
export function assert(holds: boolean, invariant: string): asserts holds {
  if (!holds) throw new Error(`kvoyant: broken invariant: ${invariant}`);
}

// Assertion of an invariant. A failure is a bug in kvoyant, never bad input.

/** @throws Error naming the broken invariant. */
export function assert(holds: boolean, invariant: string): asserts holds {
  if (!holds) throw new Error(`kvoyant: broken invariant: ${invariant}`);
}

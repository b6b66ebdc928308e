// The part of a limit over all reservations that one API key may take.

/**
 * Two thirds of what the others leave, so that no key can shut out another.
 * @param key null: callers without a key, who are operators or the only ones there are, or the only key that there is; they
 * may take everything
 * @param othersUse what all others have taken
 */
export function keyPart(key: string | null, max: number, othersUse: number): number {
  const free = Math.max(0, max - othersUse);
  return key === null ? free : (free * 2) / 3;
}

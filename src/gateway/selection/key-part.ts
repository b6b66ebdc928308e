// The part of a limit over all reservations that one API key may take.

/**
 * Two thirds of what the others leave, so that no key can shut out another. Callers without a key are operators, or the
 * only ones there are: they may take everything.
 * @param othersUse what all others have taken
 */
export function keyPart(key: string | null, max: number, othersUse: number): number {
  const free = Math.max(0, max - othersUse);
  return key === null ? free : (free * 2) / 3;
}

// Settings that are a number, or a word for what the gateway finds out itself.

export const blockSizeMax: number = 65_536;

export const isBlockSize = (value: unknown): boolean =>
  value === 'auto' || (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= blockSizeMax);

/**
 * The largest body, in the budget of all: it is held as it came and as it was read, which takes up to two bytes a
 * character, and one request may have two thirds.
 */
export const largestBodiesMin: number = 6;

export const isBodiesBytes = (value: unknown): boolean =>
  value === 'auto' || (Number.isSafeInteger(value) && (value as number) >= 2048);

export const isAdminPort = (value: unknown): boolean =>
  value === 'auto' ||
  value === 'none' ||
  (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 65_535);

import { describe, expect, it } from 'vitest';
import { ByteRatio } from '../../../src/gateway/prompts/byte-ratio.ts';

describe('ByteRatio', () => {
  it("starts at four bytes per token and follows the engines' reports", () => {
    const ratio = new ByteRatio();
    expect(ratio.bytesPerToken).toBe(4);
    for (let i = 0; i < 500; i++) ratio.observe(3000, 1000);
    expect(ratio.bytesPerToken).toBeCloseTo(3, 5);
    for (let i = 0; i < 500; i++) ratio.observe(1_000_000, 1);
    expect(ratio.bytesPerToken).toBeLessThanOrEqual(64);
  });
});

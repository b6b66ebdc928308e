// The known content of a prompt: its length, its hashes, and that only known tokens are claimed.

import { describe, expect, it } from 'vitest';
import { BlockHasher } from '../../../src/core/index.ts';
import {
  hashContents,
  islOf,
  leastKnown,
  type PromptContent,
  promptBytes,
  truncated,
  unclaimed,
} from '../../../src/gateway/prompts/prompt-content.ts';

const hasher = new BlockHasher();
const guess = { bytesPerToken: 5, tokensPerPart: 100 };

const tokens = (...ids: number[]): PromptContent => ({ kind: 'tokens', tokens: Uint32Array.from(ids) });
const bytes = (length: number, otherParts = 0): PromptContent => ({
  kind: 'bytes',
  bytes: Buffer.alloc(length),
  otherParts,
});

describe('hashContents', () => {
  it('hashes every prompt once for each block size', () => {
    const [prompt] = hashContents([tokens(1, 2, 3, 4, 5)], hasher, [2, 4], guess, {});
    expect(prompt!.isl).toBe(5);
    expect(prompt!.hashes.map(({ blockSize, count }) => [blockSize, count])).toEqual([
      [2, 2],
      [4, 1],
    ]);
  });

  it('counts bytes as the estimated tokens, and expects no events', () => {
    const [prompt] = hashContents([bytes(100)], hasher, [4], guess, {});
    expect(prompt).toMatchObject({ isl: 20, unannounced: true });
    expect(prompt!.hashes[0]).toMatchObject({ count: 6, blockTokens: 16 / 5 });
  });

  it('claims only the blocks of the beginning, and counts the rest', () => {
    const beginning: PromptContent = {
      kind: 'beginning',
      tokens: Uint32Array.of(1, 2, 3, 4, 5),
      restTokens: 7,
      restBytes: 50,
      otherParts: 2,
    };
    const [part, whole] = hashContents([beginning, tokens(1, 2, 3, 4)], hasher, [2], guess, {});
    expect(part!.isl).toBe(5 + 7 + 10 + 200);
    expect(part!.hashes[0]).toEqual(whole!.hashes[0]);
    expect(part!.unannounced).toBeUndefined();
  });
});

it('lengths include parts that are not text', () => {
  expect(islOf(bytes(50, 3), guess)).toBe(310);
  expect(islOf(unclaimed({}), guess)).toBe(1);
});

it('the ratio of bytes to tokens is learnt only from prompts of bytes alone', () => {
  expect(promptBytes([bytes(100), bytes(100)])).toBe(200);
  expect(promptBytes([bytes(100), tokens(1)])).toBe(null);
  expect(promptBytes([bytes(100, 1)])).toBe(null);
});

it('a truncated prompt is not claimed; a short enough one stays unchanged', () => {
  const content = tokens(1, 2, 3, 4);
  expect(truncated(content, 4, guess)).toBe(content);
  expect(truncated(content, 3, guess)).toEqual(unclaimed({ restTokens: 3 }));
  expect(truncated(bytes(100), 20, guess)).toMatchObject({ kind: 'bytes' });
  expect(islOf(truncated(bytes(100), 19, guess), guess)).toBe(19);
});

it('of several prompts the least known one counts', () => {
  expect(leastKnown([tokens(1), bytes(1), unclaimed({})])).toBe('bytes');
  expect(leastKnown([tokens(1), unclaimed({})])).toBe('beginning');
  expect(leastKnown([tokens(1)])).toBe('tokens');
});

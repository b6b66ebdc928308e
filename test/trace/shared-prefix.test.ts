import { beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/core/random.ts';
import { loadTokenizer } from '../../src/tokens/load-tokenizer.ts';
import {
  coldBurst,
  pr1731Stream,
  type SharedPrefixBurst,
  type SharedPrefixStream,
  sharedPrefixBurst,
  sharedPrefixStream,
} from '../../src/trace/shared-prefix.ts';
import { type TextCodec, TextSource } from '../../src/trace/text-source.ts';
import { tiktokenCodec } from './tiktoken-codec.ts';

const smallBurst: SharedPrefixBurst = {
  groups: 6,
  promptsPerGroup: 4,
  prefixTokens: 64,
  questionTokens: 9,
  outputTokens: 5,
};
const smallStream: SharedPrefixStream = {
  requests: 40,
  prefixes: 3,
  prefixTokens: 50,
  isl: 110,
  outputTokens: 7,
  ratePerS: 12,
};

let codec: TextCodec;
beforeAll(() => {
  codec = tiktokenCodec();
});

const commonPrefix = (a: Uint32Array, b: Uint32Array): number => {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
};

describe('sharedPrefixBurst', () => {
  it('contains every group as often as requested, shuffled, all at once', async () => {
    const requests = await sharedPrefixBurst(smallBurst, codec, 1);
    const counts = new Map<number, number>();
    for (const { group } of requests) counts.set(group, (counts.get(group) ?? 0) + 1);
    expect([...counts].sort(([a], [b]) => a - b)).toEqual([0, 1, 2, 3, 4, 5].map((group) => [group, 4]));
    expect(requests.map(({ group }) => group)).not.toEqual([...requests.map(({ group }) => group)].sort());
    expect(new Set(requests.map(({ arrivalMs }) => arrivalMs))).toEqual(new Set([0]));
  });

  it('has prompts of exact length that share exactly the prefix of their group', async () => {
    const requests = await sharedPrefixBurst(smallBurst, codec, 2);
    const prompts = await Promise.all(requests.map(({ prompt }) => codec.encode(prompt)));
    for (const [i, tokens] of prompts.entries()) {
      expect(tokens.length).toBe(73);
      expect(requests[i]).toMatchObject({ isl: 73, maxTokens: 5 });
      for (let j = 0; j < i; j++) {
        const shared = commonPrefix(tokens, prompts[j]!);
        if (requests[i]!.group === requests[j]!.group) expect(shared).toBeGreaterThanOrEqual(64);
        expect(shared).toBeLessThan(requests[i]!.group === requests[j]!.group ? 67 : 3);
      }
    }
  });

  it('depends on the seed alone', async () => {
    const first = await sharedPrefixBurst(smallBurst, codec, 3);
    expect(await sharedPrefixBurst(smallBurst, codec, 3)).toEqual(first);
    expect((await sharedPrefixBurst(smallBurst, codec, 4))[0]!.prompt).not.toBe(first[0]!.prompt);
  });

  it('is 64 x 16 prompts of 2,048 + 128 tokens by default', () => {
    expect(coldBurst).toEqual({
      groups: 64,
      promptsPerGroup: 16,
      prefixTokens: 2048,
      questionTokens: 128,
      outputTokens: 64,
    });
  });
});

describe('sharedPrefixStream', () => {
  it('draws prefixes, arrives as a Poisson process, and has prompts of exact length', async () => {
    const requests = await sharedPrefixStream(smallStream, codec, 1);
    expect(requests).toHaveLength(40);
    expect(new Set(requests.map(({ group }) => group)).size).toBe(3);
    const arrivals = requests.map(({ arrivalMs }) => arrivalMs);
    expect(arrivals).toEqual([...arrivals].sort((a, b) => a - b));
    expect(new Set(arrivals).size).toBe(40);
    for (const { prompt } of requests) expect((await codec.encode(prompt)).length).toBe(110);
    expect(await sharedPrefixStream(smallStream, codec, 1)).toEqual(requests);
  });

  it('has the parameters of PR #1731 by default', () => {
    expect(pr1731Stream).toEqual({
      requests: 180,
      prefixes: 10,
      prefixTokens: 3500,
      isl: 7000,
      outputTokens: 100,
      ratePerS: 12,
    });
  });
});

describe('TextSource', () => {
  it('refuses a text with another token count', async () => {
    const random = new Random(1);
    const source = await TextSource.create(codec, random, 50);
    await source.verify(source.text(20, random), 20);
    await expect(source.verify(source.text(20, random), 21)).rejects.toThrow('20 tokens instead of 21');
  });

  it('refuses a vocabulary with too few words', async () => {
    const letters: TextCodec = {
      vocabSize: 26,
      encode: (text) => Uint32Array.from(text.toString(), (letter) => letter.charCodeAt(0)),
      decode: (ids) => String.fromCharCode(...Array.from(ids)),
    };
    await expect(TextSource.create(letters, new Random(1), 2)).rejects.toThrow('only 0 of 2 words');
  });
});

describe('with the built-in tokenizer', () => {
  it('both workloads have exactly their published size', async () => {
    const builtin = await loadTokenizer('builtin');
    const burst = await sharedPrefixBurst(coldBurst, builtin, 1);
    const stream = await sharedPrefixStream(pr1731Stream, builtin, 1);
    await builtin.close();
    expect(burst).toHaveLength(1024);
    expect(stream).toHaveLength(180);
    const oracle = tiktokenCodec();
    expect(await oracle.encode(burst[1023]!.prompt)).toHaveLength(2176);
    expect(await oracle.encode(stream[179]!.prompt)).toHaveLength(7000);
  });
});

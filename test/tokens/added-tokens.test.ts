// Finding added tokens: the longest at each position, with the whitespace of their flags, and nowhere else.

import { expect, it } from 'vitest';
import { AddedTokens } from '../../src/tokens/added-tokens.ts';
import type { AddedTokenSpec } from '../../src/tokens/byte-level-spec.ts';

function token(text: string, id: number, flags: Partial<AddedTokenSpec> = {}): AddedTokenSpec {
  return { text, id, lstrip: false, rstrip: false, normalized: false, singleWord: false, ...flags };
}

/** Parts as text, tokens in brackets. */
function split(tokens: readonly AddedTokenSpec[], text: string): string[] {
  return new AddedTokens(tokens)
    .split(text)
    .map(({ from, to, token: found }) => (found ? `[${text.slice(from, to)}]` : text.slice(from, to)));
}

const angled = [token('<|a|>', 7), token('<|a|><|b|>', 8), token('<|b|>', 9), token('[INST]', 10), token('  ', 11)];

it('finds the leftmost token first, and the longest of those with the same start', () => {
  expect(split(angled, 'x<|a|>y<|b|>')).toEqual(['x', '[<|a|>]', 'y', '[<|b|>]']);
  expect(split(angled, '<|a|><|b|>')).toEqual(['[<|a|><|b|>]']);
  expect(split(angled, '<|a|><|c|>')).toEqual(['[<|a|>]', '<|c|>']);
  expect(split(angled, '<|<|<|b|>')).toEqual(['<|<|', '[<|b|>]']);
  expect(split(angled, '[INST]   <|a|')).toEqual(['[[INST]]', '[  ]', ' <|a|']);
});

it('returns a text without tokens in one part, and an empty text in none', () => {
  expect(split(angled, '<|a|')).toEqual(['<|a|']);
  expect(split(angled, '')).toEqual([]);
  expect(split([], '<|a|>')).toEqual(['<|a|>']);
});

it('includes the whitespace that the flags say, each once', () => {
  const stripping = [token('<l>', 1, { lstrip: true }), token('<r>', 2, { rstrip: true })];
  expect(split(stripping, 'a \n<l> b')).toEqual(['a', '[ \n<l>]', ' b']);
  expect(split(stripping, 'a <r>\u3000 b')).toEqual(['a ', '[<r>\u3000 ]', 'b']);
  expect(split([...stripping, token('  ', 3, { lstrip: true })], '<r>  a')).toEqual(['[<r>  ]', 'a']);
  expect(split(stripping, '<r>  <l>')).toEqual(['[<r>  ]', '[<l>]']);
});

it('skips a token inside a word if it must stand alone', () => {
  const alone = [token('me', 1, { singleWord: true }), token('em', 2)];
  expect(split(alone, 'some me, home')).toEqual(['some ', '[me]', ', home']);
  // Skipped as a whole, including tokens that start inside it.
  expect(split(alone, 'xmem em')).toEqual(['xmem ', '[em]']);
});

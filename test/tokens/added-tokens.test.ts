// Added tokens: found where they stand, the longer of two, and nowhere else.
import { expect, it } from 'vitest';
import { AddedTokens } from '../../src/tokens/added-tokens.ts';

const tokens = new AddedTokens([
  { text: '<|a|>', id: 7 },
  { text: '<|a|><|b|>', id: 8 },
  { text: '<|b|>', id: 9 },
]);

it('finds the first one behind a position', () => {
  expect(tokens.indexIn('x<|a|>y<|b|>', 0)).toBe(1);
  expect(tokens.indexIn('x<|a|>y<|b|>', 2)).toBe(7);
  expect(tokens.indexIn('<|<|<|b|>', 0)).toBe(4);
  expect(tokens.indexIn('<|a|', 0)).toBe(-1);
});

it('means the longer of two that start together', () => {
  expect(tokens.at('<|a|><|b|>', 0)?.id).toBe(8);
  expect(tokens.at('<|a|><|c|>', 0)?.id).toBe(7);
  expect(tokens.at('<|a|>', 1)).toBeUndefined();
  expect(tokens.byId(9)?.text).toBe('<|b|>');
});

it('refuses a token that its search would miss', () => {
  expect(() => new AddedTokens([{ text: '[INST]', id: 1 }])).toThrow('added tokens start with <|');
});

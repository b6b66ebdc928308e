import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ConversionTrust } from '../../../src/gateway/pools/conversion-trust.ts';

it('gives a kind up after three wrong counts in a row, tries it again, and takes it back after a right one', () => {
  const trust = new ConversionTrust();
  for (const matches of [false, false, true, false, false]) trust.note('responses', matches);
  expect(trust.converts('responses')).toBe(true);
  trust.note('responses', false);
  expect(trust.givenUp).toEqual(['responses']);
  expect(trust.converts('messages')).toBe(true);
  const tries = Array.from({ length: 128 }, () => trust.converts('responses'));
  expect(tries.filter(Boolean)).toHaveLength(2);
  trust.note('responses', true);
  expect([trust.converts('responses'), trust.givenUp]).toEqual([true, []]);
});

it('judges by the latest counts alone, as its naive twin', () => {
  const step = fc.tuple(fc.constantFrom('a', 'b'), fc.boolean());
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const trust = new ConversionTrust();
      for (const [kind, matches] of steps) trust.note(kind, matches);
      for (const kind of ['a', 'b']) {
        const latest = steps.filter(([of]) => of === kind).slice(-3);
        const isGivenUp = latest.length === 3 && latest.every(([, matches]) => !matches);
        expect(trust.givenUp.includes(kind)).toBe(isGivenUp);
      }
    }),
  );
});

it('keeps a bounded number of kinds', () => {
  const trust = new ConversionTrust();
  for (let round = 0; round < 3; round++) for (let i = 0; i < 5000; i++) trust.note(`kind ${i}`, false);
  expect(trust.givenUp).toHaveLength(1024);
});

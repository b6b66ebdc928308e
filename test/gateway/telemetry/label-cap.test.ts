import { expect, it } from 'vitest';
import { LabelCap, otherLabel } from '../../../src/gateway/telemetry/label-cap.ts';

it('a label has at most its number of values, plus one for all others', () => {
  const cap = new LabelCap(3);
  expect(['a', 'b', 'c', 'd', 'a', 'e'].map((value) => cap.of(value))).toEqual([
    'a',
    'b',
    'c',
    otherLabel,
    'a',
    otherLabel,
  ]);
});

import { expect, it } from 'vitest';
import { LabelCap, otherLabel } from '../../../src/gateway/telemetry/label-cap.ts';

it('a label has so many values, and then one more', () => {
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

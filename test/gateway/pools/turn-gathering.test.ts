import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { gatheredMax, TurnGathering } from '../../../src/gateway/pools/turn-gathering.ts';

it('passes the items of a turn on together, and nothing before its end', async () => {
  const groups: number[][] = [];
  const gathering = new TurnGathering<number>((items) => groups.push([...items]));
  gathering.add(1);
  gathering.add(2);
  expect(groups).toEqual([]);
  await nextTurn();
  expect(groups).toEqual([[1, 2]]);
  gathering.add(3);
  await nextTurn();
  expect(groups).toEqual([[1, 2], [3]]);
});

it('passes at most `gatheredMax` items on in a turn, all of them once and in order', async () => {
  const groups: number[][] = [];
  let added = 2 * gatheredMax + 1;
  const gathering = new TurnGathering<number>((items) => {
    groups.push([...items]);
    // Items that are added meanwhile come after those that wait.
    if (groups.length === 1) gathering.add(added++);
  });
  for (let item = 0; item < 2 * gatheredMax + 1; item++) gathering.add(item);
  await nextTurn();
  expect(groups).toHaveLength(1);
  for (let turn = 0; turn < 4; turn++) await nextTurn();
  expect(groups.map(({ length }) => length)).toEqual([gatheredMax, gatheredMax, 2]);
  expect(groups.flat()).toEqual(Array.from({ length: added }, (_, item) => item));
});

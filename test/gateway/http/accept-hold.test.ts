import { expect, it } from 'vitest';
import { AcceptHold } from '../../../src/gateway/http/accept-hold.ts';

it('delays each kind of work while connections arrive in every turn, ten milliseconds at a time', () => {
  let nowMs = 0;
  const hold = new AcceptHold(() => nowMs);
  const [reading, routing] = [hold.asker(), hold.asker()];
  expect([reading(), routing()]).toEqual([false, false]);
  const turns: boolean[] = [];
  for (; nowMs < 24; nowMs += 2) {
    hold.accepted();
    turns.push(reading());
    expect(routing()).toBe(turns.at(-1));
  }
  const held = [true, true, true, true, true, false];
  expect(turns).toEqual([...held, ...held]);
  hold.accepted();
  expect(reading()).toBe(true);
  expect(reading()).toBe(false);
});

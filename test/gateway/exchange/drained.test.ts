import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import { drained } from '../../../src/gateway/exchange/drained.ts';

it.each(['drain', 'close'])('a wait ends with %s, and leaves no listener behind', async (event) => {
  const response = new EventEmitter();
  for (let round = 0; round < 3; round++) {
    const waiting = drained(response);
    expect(response.listenerCount(event)).toBe(1);
    response.emit(event);
    await waiting;
    expect(response.eventNames()).toEqual([]);
  }
});

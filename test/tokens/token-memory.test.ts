import fc from 'fast-check';
import { expect, it } from 'vitest';
import { loadBuiltinTokenizer } from '../../src/tokens/index.ts';
import { TokenMemory } from '../../src/tokens/token-memory.ts';
import { TokenizerTurn } from '../../src/tokens/tokenizer-turn.ts';

it('never gives the same memory to two requests, nor twice to one', () => {
  const steps = fc.array(fc.record({ turn: fc.nat(2), count: fc.nat(40_000), ends: fc.boolean() }), { maxLength: 40 });
  fc.assert(
    fc.property(steps, (all) => {
      const memory = new TokenMemory();
      const turns = [0, 1, 2].map(() => ({
        turn: new TokenizerTurn(memory),
        taken: [] as { ids: Uint32Array; mark: number }[],
      }));
      for (const [mark, { turn: index, count, ends }] of all.entries()) {
        const { turn, taken } = turns[index]!;
        const ids = turn.room(count).fill(mark);
        expect(ids.length).toBe(count);
        taken.push({ ids, mark });
        for (const other of turns) {
          for (const one of other.taken) expect(one.ids.every((id) => id === one.mark)).toBe(true);
        }
        if (!ends) continue;
        turn.idsRead();
        taken.length = 0;
      }
    }),
    { numRuns: 30 },
  );
}, 60_000);

it('holds the ids of a text that is tokenized in the calling thread', async () => {
  const tokenizer = await loadBuiltinTokenizer();
  const memory = new TokenMemory();
  const [turn, other] = [new TokenizerTurn(memory), new TokenizerTurn(memory)];
  const text = 'The ids of a text are read once.';
  const own = await tokenizer.encode(text);
  const ids = await tokenizer.encode(text, { turn });
  expect(ids).toEqual(own);
  const more = await tokenizer.encode('of the same request', { turn });
  expect(more.buffer).toBe(ids.buffer);
  const others = await tokenizer.encode(text, { turn: other });
  expect(others.buffer).not.toBe(ids.buffer);
  turn.idsRead();
  expect((await tokenizer.encode(text, { turn: other })).buffer).toBe(ids.buffer);
  expect(others).toEqual(own);
  await tokenizer.close();
});

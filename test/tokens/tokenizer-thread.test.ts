// The tokenizer's thread: its bounded queue, crashes, restarts, and end.

import { afterEach, describe, expect, it } from 'vitest';
import { type ThreadOptions, TokenizerThread } from '../../src/tokens/tokenizer-thread.ts';
import { TokenizerTurn } from '../../src/tokens/tokenizer-turn.ts';

/**
 * A thread that answers the text `hold` only with the next other text, ends on `exit` and `throw`, and encodes other
 * texts as the number of texts so far.
 */
const script = `
import { parentPort } from 'node:worker_threads';
let seen = 0;
const held = [];
const dropped = [];
parentPort.on('message', ({ kind, id, group, task }) => {
  if (kind === 'drop') return dropped.push(group);
  seen++;
  if (task.kind !== 'encode') return parentPort.postMessage({ kind: 'failed', id, code: 'tokenizer-failed', reason: 'no' });
  if (task.text === 'exit') process.exit(3);
  if (task.text === 'throw') throw new Error('thrown in the thread');
  held.push(id);
  if (task.text === 'hold') return;
  for (const each of held.splice(0)) parentPort.postMessage({ kind: 'done', id: each, result: Uint32Array.of(seen) });
});`;
const entry = new URL(`data:text/javascript,${encodeURIComponent(script)}`);

const open: TokenizerThread[] = [];
function thread(options: ThreadOptions = {}): TokenizerThread {
  const made = new TokenizerThread({ kind: 'builtin' }, { entry, ...options });
  open.push(made);
  return made;
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()));
});

describe('TokenizerThread', () => {
  it('answers each call, in order', async () => {
    const tokenizer = thread();
    const answers = await Promise.all(Array.from({ length: 20 }, () => tokenizer.encode('x', true)));
    expect(answers.map((ids) => ids[0])).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  });

  it('passes on errors of the thread', async () => {
    const tokenizer = thread();
    await expect(tokenizer.decode([1])).rejects.toMatchObject({ code: 'tokenizer-failed', message: 'no' });
    await expect(tokenizer.encode('x', true)).resolves.toEqual(Uint32Array.of(2));
  });

  it('refuses more texts than may wait, and accepts some again later', async () => {
    const tokenizer = thread({ queuedTextsMax: 2 });
    const held = tokenizer.encode('hold', true);
    const second = tokenizer.encode('x', true);
    await expect(tokenizer.encode('x', true)).rejects.toMatchObject({ code: 'queue-full' });
    await Promise.all([held, second]);
    await expect(tokenizer.encode('x', true)).resolves.toEqual(Uint32Array.of(3));
  });

  it('refuses more characters than may wait, and texts that are too long', async () => {
    const tokenizer = thread({ queuedCharsMax: 10, textCharsMax: 8 });
    const held = tokenizer.encode('hold', true);
    await expect(tokenizer.encode('1234567', true)).rejects.toMatchObject({ code: 'queue-full' });
    await expect(tokenizer.encode('123456789', true)).rejects.toMatchObject({ code: 'text-too-long' });
    await Promise.all([held, tokenizer.encode('x', true)]);
    await expect(tokenizer.encode('1234567', true)).resolves.toEqual(Uint32Array.of(3));
  });

  it('drops the tasks of a request that has ended, and no others', async () => {
    const tokenizer = thread();
    const [turn, other] = [new TokenizerTurn(), new TokenizerTurn()];
    const held = [tokenizer.encode('hold', true, turn), tokenizer.encode('hold', true, turn)];
    const kept = tokenizer.encode('hold', true, other);
    turn.end();
    for (const each of held) await expect(each).rejects.toMatchObject({ code: 'cancelled' });
    await expect(tokenizer.encode('x', true, turn)).rejects.toMatchObject({ code: 'cancelled' });
    await tokenizer.encode('x', true);
    await expect(kept).resolves.toEqual(Uint32Array.of(4));
  });

  it('gives up tasks that take too long', async () => {
    const tokenizer = thread({ taskMsMax: 300 });
    await expect(tokenizer.encode('hold', true)).rejects.toMatchObject({ code: 'tokenizer-late' });
    await expect(tokenizer.encode('x', true)).resolves.toBeInstanceOf(Uint32Array);
  });

  it.each(['exit', 'throw'])('fails all waiting tasks when the thread ends by %s, then starts another', async (end) => {
    const tokenizer = thread();
    await tokenizer.encode('x', true);
    const waiting = [tokenizer.encode('hold', true), tokenizer.encode(end, true), tokenizer.encode('x', true)];
    const outcomes = await Promise.allSettled(waiting);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'thread-died' } });
    }
    await expect(tokenizer.encode('x', true)).resolves.toEqual(Uint32Array.of(1));
  });

  it("that can't start fails its calls", async () => {
    const tokenizer = thread({ entry: new URL('file:///no/such/module.js') });
    await expect(tokenizer.encode('x', true)).rejects.toMatchObject({ code: 'thread-died' });
    await expect(tokenizer.describe()).rejects.toMatchObject({ code: 'thread-died' });
  });

  it('fails waiting tasks when it is closed, and all later calls', async () => {
    const tokenizer = thread();
    const held = expect(tokenizer.encode('hold', true)).rejects.toMatchObject({ code: 'closed' });
    await tokenizer.close();
    await held;
    await expect(tokenizer.encode('x', true)).rejects.toMatchObject({ code: 'closed' });
    await tokenizer.close();
  });
});

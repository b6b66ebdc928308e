// An open stream does not keep the text of its prompt, only the body for another engine and the tokens.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, expect, it } from 'vitest';
import { endStream, type FakeRequest, openStream, sendToken } from './fake-engine.ts';
import { atRest, eventually, Harness } from './harness.ts';

const harness = new Harness();
afterEach(() => harness.end());

const streams = 40;
const textLength = 200_000;

/** Bytes of objects and strings; buffers are not among them. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

function bodyOf(index: number): Buffer {
  const content = `${index} ${'word '.repeat(textLength / 5)}`;
  return Buffer.from(JSON.stringify({ model: 'fake', messages: [{ role: 'user', content }], stream: true }));
}

it('holds no string of its prompt', async () => {
  const engine = await harness.engine();
  const open: Pick<FakeRequest, 'response'>[] = [];
  engine.behaviour = ({ response }) => {
    open.push({ response });
    engine.requests.length = 0;
    openStream({ response } as FakeRequest);
    sendToken({ response } as FakeRequest, 'first');
  };
  const gateway = await harness.gateway({ workers: [engine.url], tokenizer: 'none' });
  // Only buffers, so that the strings on the heap are the gateway's.
  const ask = async (index: number): Promise<number> => {
    const { status, body } = await fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', body: bodyOf(index) });
    for await (const _ of body!);
    return status;
  };
  const answers = [ask(0)];
  await eventually(() => open.length === 1);
  const before = heapBytes();
  for (let index = 1; index <= streams; index++) answers.push(ask(index));
  await eventually(() => open.length === streams + 1, 30_000);
  // Objects and booked blocks take 140 kB; the text as a string would add 200 kB, its JSON as much.
  expect((heapBytes() - before) / streams).toBeLessThan(textLength);
  for (const { response } of open) endStream({ response } as FakeRequest, 10, 1);
  expect(new Set(await Promise.all(answers))).toEqual(new Set([200]));
  await atRest(gateway);
});

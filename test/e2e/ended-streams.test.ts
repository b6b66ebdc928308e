// An engine that has sent the end of its answer has nothing left to do: its stream ends, even if it leaves it open.

import { afterEach, describe, expect, it } from 'vitest';
import { type FakeRequest, openStream, replyJson, sendToken } from './fake-engine.ts';
import { atRest, chatBody, eventually, Harness, post } from './harness.ts';

const harness = new Harness();
afterEach(() => harness.end());

const chat = { ...chatBody, stream: true };
const done = 'data: [DONE]\n\n';

function neverEnding(...events: readonly string[]): (request: FakeRequest) => void {
  return (request) => {
    openStream(request);
    for (const event of events) request.response.write(event);
  };
}

describe('a stream that its engine leaves open after its end', () => {
  it('ends for the client, and its booking with it', async () => {
    const engine = await harness.engine();
    engine.behaviour = (request) => {
      openStream(request);
      sendToken(request, 'a', 'stop');
      request.response.write(done);
    };
    const gateway = await harness.gateway({ workers: [engine.url] });
    const { status, body } = await post(gateway, '/v1/chat/completions', chat);
    expect([status, body.endsWith(done), body.includes('"error"')]).toEqual([200, true, false]);
    await atRest(gateway);
    // Its connection is of no use any more.
    await eventually(() => engine.aborted === 1);
    const { decisions } = (await (await fetch(`${gateway.adminUrl}/decisions`)).json()) as {
      decisions: readonly { outcome: string; error: string | null }[];
    };
    expect(decisions).toMatchObject([{ outcome: 'done', error: null }]);
  });

  it('passes what the engine sends shortly after', async () => {
    const engine = await harness.engine();
    engine.behaviour = (request) => {
      neverEnding(done)(request);
      setTimeout(() => request.response.end(': bye\n\n'), 50);
    };
    const gateway = await harness.gateway({ workers: [engine.url] });
    expect((await post(gateway, '/v1/chat/completions', chat)).body).toBe(`${done}: bye\n\n`);
    expect(engine.aborted).toBe(0);
  });

  it('ends with the last event of messages and of responses', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    const events = (...data: object[]): string[] => data.map((one) => `data: ${JSON.stringify(one)}\n\n`);
    engine.behaviour = neverEnding(...events({ type: 'content_block_start' }, { type: 'message_stop' }));
    const { messages, model } = chat;
    const said = await post(gateway, '/v1/messages', { model, messages, max_tokens: 5, stream: true });
    expect([said.status, said.body.includes('error')]).toEqual([200, false]);
    engine.behaviour = neverEnding(...events({ type: 'response.completed', response: { id: 'r' } }));
    const answered = await post(gateway, '/v1/responses', { model, input: 'hello', stream: true });
    expect([answered.status, answered.body.includes('error')]).toEqual([200, false]);
    await atRest(gateway);
  });

  it('ends as a shadow as well', async () => {
    const [engine, other] = await harness.engines(2);
    other!.behaviour = neverEnding(done);
    const models = [{ name: 'alias', pool: 'real', shadow: { pool: 'copies', share: 1 } }];
    const workers = [
      { url: engine!.url, pool: 'real' },
      { url: other!.url, pool: 'copies' },
    ];
    const pools = [{ name: 'real' }, { name: 'copies' }];
    const gateway = await harness.gateway({ workers, pools, models }, 2, []);
    expect((await post(gateway, '/v1/chat/completions', { ...chat, model: 'alias' })).status).toBe(200);
    await eventually(() => other!.requests.length === 1);
    await atRest(gateway);
    await eventually(() => other!.aborted === 1);
  });
});

it('an answer in one piece is not touched', async () => {
  const engine = await harness.engine();
  engine.behaviour = ({ response }) => replyJson(response, 200, { choices: [], text: '[DONE]' });
  const gateway = await harness.gateway({ workers: [engine.url] });
  expect((await post(gateway, '/v1/chat/completions', chatBody)).body).toContain('[DONE]');
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { endStream, type FakeEngine, replyWhole, sendToken } from './fake-engine.ts';
import { atRest, chatBody, eventually, Harness, loads, post } from './harness.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(() => harness.end());

const statusOf = async (gateway: Gateway, model: string): Promise<number> =>
  (await post(gateway, '/v1/completions', { model, prompt: 'x', max_tokens: 1 })).status;

async function listed(gateway: Gateway): Promise<string[]> {
  const { data } = (await (await fetch(`${gateway.url}/v1/models`)).json()) as { data: { id: string }[] };
  return data.map(({ id }) => id);
}

const served = (engine: FakeEngine): number => engine.requests.filter(({ body }) => body.includes('"tuned"')).length;

describe('an adapter', () => {
  it('that an engine loads is served by that engine; one that it drops is gone, and ends no stream and no booking', async () => {
    const [holder, other] = [await harness.engine(), await harness.engine()];
    for (const engine of [holder, other]) engine.behaviour = (request) => replyWhole(request, 'hi');
    const gateway = await harness.gateway({ workers: [holder.url, other.url], policy: 'round-robin' });
    expect(await statusOf(gateway, 'tuned')).toBe(404);
    holder.models = ['fake', 'tuned'];
    await eventually(async () => (await listed(gateway)).includes('tuned'), 30_000);
    for (let i = 0; i < 4; i++) expect(await statusOf(gateway, 'tuned')).toBe(200);
    expect([served(holder), served(other)]).toEqual([4, 0]);
    let finish: (() => void) | null = null;
    holder.behaviour = (request) => {
      if (request.path !== '/v1/chat/completions') return replyWhole(request, 'hi');
      const heartbeat = setInterval(() => request.response.write(': \n\n'), 500);
      request.response.writeHead(200, { 'content-type': 'text/event-stream' });
      finish = () => {
        clearInterval(heartbeat);
        sendToken(request, 'a', 'stop');
        endStream(request, 10, 1);
      };
    };
    const streaming = post(gateway, '/v1/chat/completions', { ...chatBody, model: 'tuned', stream: true });
    await eventually(() => finish !== null);
    holder.models = ['fake'];
    await eventually(async () => !(await listed(gateway)).includes('tuned'), 30_000);
    const running = (await loads(gateway)).workers.map(({ runningRequests }) => runningRequests);
    expect(running).toEqual([1, 0]);
    expect((await loads(gateway)).workers[0]).toMatchObject({ viewEpoch: 0 });
    expect(await statusOf(gateway, 'tuned')).toBe(404);
    expect(await statusOf(gateway, 'fake')).toBe(200);
    finish!();
    expect((await streaming).body).toContain('[DONE]');
    await atRest(gateway);
  }, 60_000);
});

// Leaving clients, engines that are killed and restarted, and the resulting events.

import { afterEach, describe, expect, it } from 'vitest';
import { Subscriber } from 'zeromq';
import { decodeKvBatch, type KvBatch, readKvFrames } from '../../src/wire/kv-events.ts';
import { freePort } from '../e2e/free-port.ts';
import golden from '../golden/kv-event-vectors.json' with { type: 'json' };
import { metric, metricBecomes, post, startFleet, startOne } from './fleet.ts';

const subscribers: Subscriber[] = [];

afterEach(() => {
  for (const subscriber of subscribers.splice(0)) subscriber.close();
});

interface Received {
  readonly seq: number;
  readonly payloadHex: string;
  readonly batch: KvBatch;
}

/** An active subscription. `take` waits for the next batches. */
async function subscribe(endpoint: string): Promise<{ take(count: number): Promise<Received[]> }> {
  const subscriber = new Subscriber({ linger: 0, reconnectInterval: 20 });
  subscribers.push(subscriber);
  const connected = new Promise((resolve) => subscriber.events.on('handshake', resolve));
  subscriber.subscribe();
  subscriber.connect(endpoint);
  await connected;
  // The publisher learns about the subscription shortly after the handshake.
  await new Promise((resolve) => setTimeout(resolve, 500));
  return {
    async take(count) {
      const received: Received[] = [];
      while (received.length < count) {
        const frames = readKvFrames(await subscriber.receive());
        if (frames.kind !== 'frames') throw new Error(frames.reason);
        expect(frames.topic).toBe('');
        const batch = decodeKvBatch(frames.payload);
        if (batch.kind !== 'batch') throw new Error(batch.reason);
        received.push({ seq: frames.seq, payloadHex: Buffer.from(frames.payload).toString('hex'), batch });
      }
      return received;
    },
  };
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

async function complete(url: string, prompt: number[], outputTokens: number): Promise<void> {
  const response = await post(`${url}/v1/completions`, { prompt, max_tokens: outputTokens, ignore_eos: true });
  expect(response.status).toBe(200);
  await response.text();
}

describe('events', () => {
  it('equal those of the worked trace, in order and numbered from 0', async () => {
    const fleet = await startFleet({ blockSize: 4, blocks: 6, maxNumBatchedTokens: 8, maxNumSeqs: 4 });
    const { url, kvEvents } = fleet.workers[0]!;
    const subscription = await subscribe(kvEvents!);
    await complete(url, range(1, 10), 3);
    await complete(url, range(1, 8), 1);
    await complete(url, range(100, 111), 1);
    await complete(url, range(1, 9), 1);
    const received = await subscription.take(6);
    expect(received.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(received.map(({ batch }) => batch.rank)).toEqual([0, 0, 0, 0, 0, 0]);
    // Batches 1 and 3 contain the block with the sampled output; all others are known exactly.
    for (const index of [0, 2, 4, 5]) {
      expect(received[index]!.payloadHex.slice(22)).toBe(golden.workedTrace[index]!.slice(22));
    }
    expect(received[1]!.batch.events.map(({ kind }) => kind)).toEqual(['stored']);
    expect(received[3]!.batch.events.map(({ kind }) => kind)).toEqual(['removed', 'stored']);
  });

  it('report a reset with the next step', async () => {
    const fleet = await startFleet({ blockSize: 4 });
    const { url, kvEvents } = fleet.workers[0]!;
    const subscription = await subscribe(kvEvents!);
    await complete(url, range(1, 8), 1);
    await post(`${url}/reset_prefix_cache`, '');
    await complete(url, range(1, 8), 1);
    const received = await subscription.take(2);
    expect(received.map(({ batch }) => batch.events.map(({ kind }) => kind))).toEqual([
      ['stored'],
      ['cleared', 'stored'],
    ]);
  });

  it('count from 0 again after a restart on the same ports', async () => {
    const ports = { port: await freePort(2), kvEventsPort: await freePort(2) };
    const fleet = await startFleet({ count: 2, blockSize: 4, ...ports });
    const { url, kvEvents } = fleet.workers[1]!;
    const first = await subscribe(kvEvents!);
    await complete(url, range(1, 8), 1);
    await complete(url, range(11, 18), 1);
    expect((await first.take(2)).map(({ seq }) => seq)).toEqual([0, 1]);
    const urls = fleet.workers.map((worker) => worker.url);
    await fleet.restart();
    expect(fleet.workers.map((worker) => worker.url)).toEqual(urls);
    expect(fleet.workers[1]!.kvEvents).toBe(kvEvents);
    const second = await subscribe(kvEvents!);
    await complete(url, range(1, 8), 1);
    const [batch] = await second.take(1);
    expect(batch!.seq).toBe(0);
    expect(batch!.batch.events).toHaveLength(1);
    expect(await metric(url, 'vllm:prompt_tokens_total')).toBe(8);
  });
});

describe('clients that leave', () => {
  it.each([
    ['in mid-stream', { stream: true }],
    ['before an answer in one piece', { stream: false }],
  ])('%s free their blocks', async (_when, fields) => {
    const url = await startOne({ blockSize: 4 });
    const stop = new AbortController();
    const body = { prompt: 'abcdefghi', max_tokens: 9000, n: 2, ignore_eos: true, ...fields };
    const request = post(`${url}/v1/completions`, body, {}, stop.signal);
    if (fields.stream) await (await request).body!.getReader().read();
    else await metricBecomes(url, 'vllm:num_requests_running', 2);
    expect(await metric(url, 'vllm:kv_cache_usage_perc')).toBeGreaterThan(0);
    stop.abort();
    if (!fields.stream) await expect(request).rejects.toThrow();
    await metricBecomes(url, 'kvoyant_sim:aborted_requests_total', 2);
    expect(await metric(url, 'vllm:num_requests_running')).toBe(0);
    expect(await metric(url, 'vllm:kv_cache_usage_perc')).toBe(0);
    expect(await metric(url, 'vllm:request_success_total{engine="0",model_name="toy",finished_reason="abort"}')).toBe(
      0,
    );
  });

  it("don't affect the others", async () => {
    const url = await startOne();
    const stop = new AbortController();
    const gone = post(`${url}/v1/completions`, { prompt: 'a', max_tokens: 9000, ignore_eos: true }, {}, stop.signal);
    const stays = post(`${url}/v1/completions`, { prompt: 'b', max_tokens: 100, ignore_eos: true });
    await metricBecomes(url, 'vllm:num_requests_running', 2);
    stop.abort();
    await expect(gone).rejects.toThrow();
    const { usage } = (await (await stays).json()) as { usage: { completion_tokens: number } };
    expect(usage.completion_tokens).toBe(100);
  });
});

describe('a killed worker', () => {
  it('drops its streams, refuses connections, and returns empty', async () => {
    const fleet = await startFleet({ count: 2 });
    const [first, second] = fleet.workers.map(({ url }) => url) as [string, string];
    await complete(first, range(1, 40), 1);
    const stream = await post(`${first}/v1/completions`, {
      prompt: 'a',
      max_tokens: 9000,
      stream: true,
      ignore_eos: true,
    });
    const reader = stream.body!.getReader();
    await reader.read();
    await fleet.kill(0);
    const drained = async (): Promise<void> => {
      while (!(await reader.read()).done);
    };
    await expect(drained()).rejects.toThrow();
    await expect(fetch(`${first}/health`)).rejects.toThrow();
    expect((await fetch(`${second}/health`)).status).toBe(200);
    await fleet.start(0);
    await complete(first, range(1, 40), 1);
    expect(await metric(first, 'vllm:prefix_cache_hits_total')).toBe(0);
  });

  it('can be killed and started repeatedly', async () => {
    const fleet = await startFleet();
    await fleet.kill(0);
    await fleet.kill(0);
    await fleet.start(0);
    await fleet.start(0);
    expect((await fetch(`${fleet.workers[0]!.url}/health`)).status).toBe(200);
    await expect(async () => fleet.kill(1)).rejects.toThrow('no worker 1');
  });
});

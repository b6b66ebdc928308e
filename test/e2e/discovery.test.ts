import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { XPublisher } from 'zeromq';
import { BlockHasher } from '../../src/core/index.ts';
import { clientIdOf } from '../../src/gateway/engines/client-id.ts';
import { encodeKvBatch, writeKvFrames } from '../../src/wire/kv-events.ts';
import { replyWhole } from './fake-engine.ts';
import { eventually, getJson, Harness, post } from './harness.ts';

let harness: Harness;
/** Tells of subscriptions: what is sent before one is lost. */
let publisher: XPublisher;
beforeEach(async () => {
  harness = new Harness();
  publisher = new XPublisher({ linger: 0 });
  await publisher.bind('tcp://127.0.0.1:*');
});
afterEach(async () => {
  await harness.end();
  publisher.close();
});

const cacheConfig = (rank: number, blockSize = 16): string =>
  `vllm:cache_config_info{block_size="${blockSize}",engine="${rank}",num_gpu_blocks="101"} 1.0\n`;

/** One stored event of `count` blocks of `blockSize` tokens 0, 1, 2, ... */
function stored(count: number, blockSize: number) {
  const tokens = Uint32Array.from({ length: count * blockSize }, (_, i) => i);
  const hashes = new Uint32Array(2 * count).map((_, i) => i + 1);
  return { kind: 'stored' as const, hashes, parent: null, tokens, blockSize, lora: null, salt: null, extras: null };
}

interface WorkersAnswer {
  readonly workers: readonly {
    readonly blockSize: number;
    readonly blockSizeFrom: string;
    readonly events: { readonly appliedBlocks: number; readonly skippedEvents: number };
  }[];
}

describe('data-parallel ranks behind one address', () => {
  it('are separate workers, selected by a header of each request', async () => {
    const engine = await harness.engine({ metrics: cacheConfig(0) + cacheConfig(1) });
    engine.behaviour = (request) => replyWhole(request, 'hi');
    const gateway = await harness.gateway({ workers: [engine.url], policy: 'round-robin' });
    expect(
      gateway
        .router('fake')!
        .loads()
        .map(({ id, capacityBlocks }) => [id, capacityBlocks]),
    ).toEqual([
      [`${engine.url}#0`, 100],
      [`${engine.url}#1`, 100],
    ]);
    for (let i = 0; i < 4; i++) {
      const answer = await post(gateway, '/v1/completions', { model: 'fake', prompt: 'x' });
      const { headers } = engine.requests[i]!;
      expect(answer.headers['x-kvoyant-worker']).toBe(`${clientIdOf(engine.url)}#${headers['x-data-parallel-rank']}`);
    }
    const ranks = engine.requests.map(({ headers }) => headers['x-data-parallel-rank']);
    expect(ranks.filter((rank) => rank === '0')).toHaveLength(2);
    expect(ranks.filter((rank) => rank === '1')).toHaveLength(2);
  });
});

describe('a rank with its own address', () => {
  it('is the only worker there, whatever its number, and its events come from the given port', async () => {
    const engine = await harness.engine({ metrics: cacheConfig(1) });
    engine.behaviour = (request) => replyWhole(request, 'hi');
    const gateway = await harness.gateway({
      workers: [`${engine.url},kv-events=${publisher.lastEndpoint}`],
      tokenizer: 'builtin',
      trustTokenizer: true,
    });
    expect(gateway.router('fake')!.loads()).toMatchObject([{ id: `${engine.url}#1`, capacityBlocks: 100 }]);
    await publisher.receive();
    await publisher.send(writeKvFrames('', 0, encodeKvBatch(1, 1, [stored(2, 16)])));
    await eventually(() => gateway.router('fake')!.loads()[0]!.heldBlocks === 2);
    await post(gateway, '/v1/completions', { model: 'fake', prompt: 'x' });
    expect(engine.requests[0]!.headers['x-data-parallel-rank']).toBeUndefined();
  });
});

describe('the block size', () => {
  const options = { tokenizer: 'builtin', trustTokenizer: true };

  async function publishTo(workerSetting: string, blockSizes: readonly number[]) {
    const engine = await harness.engine();
    const worker = `${engine.url},kv-events=${publisher.lastEndpoint}${workerSetting}`;
    const gateway = await harness.gateway({ ...options, workers: [worker] });
    const shown = async () => ((await getJson(gateway, '/workers')) as WorkersAnswer).workers[0]!;
    await publisher.receive();
    let seq = 0;
    const publish = async (blockSize: number): Promise<void> => {
      const payload = encodeKvBatch(1, 0, [stored(2, blockSize)]);
      await publisher.send(writeKvFrames('', seq++, payload));
    };
    for (const [i, blockSize] of blockSizes.entries()) {
      await publish(blockSize);
      const expected = i + 1;
      await eventually(async () => {
        const { events } = await shown();
        return events.appliedBlocks / 2 + events.skippedEvents === expected;
      });
    }
    return { gateway, worker: await shown() };
  }

  it('is learnt from the first KV event if the engine does not report it', async () => {
    const { gateway, worker } = await publishTo('', [8]);
    expect(worker).toMatchObject({ blockSize: 8, blockSizeFrom: 'events' });
    const router = gateway.router('fake')!;
    expect(router.loads()[0]).toMatchObject({ blockSize: 8, heldBlocks: 2, source: 'events' });
    const tokens = Uint32Array.from({ length: 20 }, (_, i) => i);
    const hashes = [new BlockHasher().hash(tokens, 8)];
    const routed = router.route({ prompts: [{ isl: 20, hashes }] }, performance.now());
    expect(routed).toMatchObject({ kind: 'routed', decision: { overlapBlocks: 2, overlapTokens: 16 } });
    if (routed.kind === 'routed') router.release(routed.bookings[0]!, 'done', performance.now());
  });

  it('is not changed by later events of another size', async () => {
    const { worker } = await publishTo('', [8, 32]);
    expect(worker).toMatchObject({ blockSize: 8, events: { appliedBlocks: 2, skippedEvents: 1 } });
  });

  it('stays as configured, combined from several blocks of the events if they are smaller', async () => {
    const { worker, gateway } = await publishTo(',block-size=16', [8]);
    expect(worker).toMatchObject({ blockSize: 16, pageSize: 8, blockSizeFrom: 'setting', trust: { kind: 'exact' } });
    expect(gateway.router('fake')!.loads()[0]).toMatchObject({ blockSize: 16, heldBlocks: 1 });
  });

  it('is reported if it is configured and not a multiple of that of the events', async () => {
    const { worker } = await publishTo(',block-size=20', [8]);
    expect(worker).toMatchObject({
      blockSize: 20,
      blockSizeFrom: 'setting',
      events: { appliedBlocks: 0, skippedEvents: 1 },
      trust: { kind: 'degraded', reason: 'block-size' },
    });
  });
});

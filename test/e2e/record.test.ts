import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { labRunCommand } from '../../src/cli/lab-run.ts';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import { readWorkload } from '../../src/trace/read-workload.ts';
import type { WorkloadRequest } from '../../src/trace/workload.ts';
import { type SimWorkers, startSimWorkers } from '../../src/worker/index.ts';
import { TemporaryFolder } from '../gateway/temporary-folder.ts';
import { freePort } from './free-port.ts';
import { type Answer, atRest, eventually, Harness, post } from './harness.ts';

const model = 'sim-record';
const sentence = 'The quick brown fox jumps over the lazy dog while seven wizards watch the moon rise again. ';
/** Answers are as long as max_tokens allows, instead of a length that the simulated model draws. */
const fullLength = { 'x-mock-output-len': '1000000' };

let fleet: SimWorkers;
let harness: Harness;
let folder: TemporaryFolder;
let path: string;
beforeAll(async () => {
  // Restarted on the same ports.
  const [port, kvEventsPort] = [await freePort(2), await freePort(2)];
  fleet = await startSimWorkers({ count: 2, port, kvEventsPort, model, speedup: 50, blocks: 2000 });
});
afterAll(async () => {
  await fleet.close();
});
beforeEach(async () => {
  await fleet.restart();
  harness = new Harness();
  folder = new TemporaryFolder();
  path = `${folder.path}/traffic.jsonl`;
});
afterEach(async () => {
  vi.restoreAllMocks();
  await harness.end();
  folder.remove();
});

const recording = (options: GatewayOptions = {}): Promise<Gateway> =>
  harness.gateway(
    { workers: fleet.workers.map(({ url }) => url), tokenizer: 'builtin', record: path, ...options },
    fleet.workers.length,
    [model],
  );

const complete = (gateway: Gateway, body: object) =>
  post(gateway, '/v1/completions', { model, max_tokens: 4, ...body }, fullLength);

/** Sends a stream and leaves after its first bytes. */
function leave(gateway: Gateway, body: object): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', ...fullLength };
    const request = httpRequest(`${gateway.url}/v1/completions`, { method: 'POST', headers });
    request.on('error', reject);
    request.on('response', (response) => {
      response.on('error', () => undefined);
      response.once('data', () => {
        request.destroy();
        resolve();
      });
    });
    request.end(JSON.stringify({ model, stream: true, ...body }));
  });
}

async function metric(gateway: Gateway, name: string): Promise<number> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(name));
  return Number(line?.split(' ').at(-1) ?? 0);
}

/** The engine's count in its answer in one piece. */
const promptTokens = ({ body }: Answer): number =>
  (JSON.parse(body) as { usage: { prompt_tokens: number } }).usage.prompt_tokens;

/** The requests in the file, once there are `count`. */
async function recorded(gateway: Gateway, count: number): Promise<readonly WorkloadRequest[]> {
  await eventually(async () => (await metric(gateway, 'kvoyant_recorded_lines_total{fate="written"}')) === count);
  return (await readWorkload(path)).requests;
}

const sharedBlocks = (one: WorkloadRequest, other: WorkloadRequest): number => {
  const at = one.blockIds.findIndex((id, block) => id !== other.blockIds[block]);
  return at === -1 ? one.blockIds.length : at;
};

describe('kvoyant serve --record', () => {
  it('records requests however they are answered, and no text', async () => {
    const gateway = await recording();
    const shared = sentence.repeat(8);
    const whole = await complete(gateway, { prompt: `${shared} one` });
    await complete(gateway, { prompt: `${shared} two`, stream: true, max_tokens: 6 });
    await post(
      gateway,
      '/v1/chat/completions',
      { model, max_tokens: 5, messages: [{ role: 'user', content: `chat ${shared}` }] },
      fullLength,
    );
    const requests = await recorded(gateway, 3);
    expect(requests.map(({ osl }) => osl)).toEqual([4, 6, 5]);
    const isl = promptTokens(whole);
    expect(requests[0]!.isl).toBe(isl);
    expect(requests[1]!.isl).toBe(isl);
    // All except the last word.
    expect(sharedBlocks(requests[0]!, requests[1]!)).toBe(Math.floor((isl - 1) / 16));
    expect(sharedBlocks(requests[0]!, requests[2]!)).toBe(0);
    expect(readFileSync(path, 'utf8')).not.toMatch(/quick|one|two/);
  });

  it('records requests that were aborted, refused by the engine, or sent as several prompts', async () => {
    const gateway = await recording();
    await leave(gateway, { prompt: sentence, max_tokens: 20_000 });
    const refused = await complete(gateway, { prompt: sentence, max_tokens: 1_000_000 });
    expect(refused.status).toBe(400);
    await complete(gateway, { prompt: [sentence, `again ${sentence}`], n: 2, max_tokens: 3 });
    await atRest(gateway);
    const requests = await recorded(gateway, 6);
    const [aborted, failed, ...choices] = requests;
    expect(aborted!.osl).toBeLessThan(20_000);
    expect(failed!.osl).toBe(1);
    expect(choices.map(({ osl }) => osl)).toEqual([3, 3, 3, 3]);
    expect(new Set(choices.map(({ arrivalMs }) => arrivalMs)).size).toBe(1);
    expect((await readWorkload(path)).notes.join('\n')).toMatch(/2 requests were cancelled/);
  });

  it('records a request that no worker could take, and answers broken off at shutdown', async () => {
    const gateway = await recording({ shutdownGraceMs: 0 });
    await fleet.kill(0);
    await fleet.kill(1);
    expect((await complete(gateway, { prompt: sentence })).status).toBeGreaterThanOrEqual(500);
    await fleet.restart();
    await gateway.whenReady(10_000, fleet.workers.length);
    const broken = complete(gateway, { prompt: `later ${sentence}`, max_tokens: 20_000, stream: true });
    const failure = broken.catch((error: unknown) => error);
    await eventually(() => fleet.workers.some(({ runtime }) => runtime!.engine.runningCount > 0));
    await gateway.close();
    await failure;
    const { requests, notes } = await readWorkload(path);
    expect(requests).toHaveLength(2);
    expect(notes.join('\n')).toMatch(/2 requests were cancelled/);
  });

  it('takes lengths from the engine if no tokenizer provides them', async () => {
    const gateway = await recording({ tokenizer: 'none' });
    const shared = sentence.repeat(10);
    const answer = await complete(gateway, { prompt: `${shared}a` });
    await complete(gateway, { prompt: `${shared}b` });
    const [first, second] = await recorded(gateway, 2);
    expect(first!.isl).toBe(promptTokens(answer));
    // Blocks of 64 bytes count for 16 tokens each, as far as the prompt goes.
    const blocks = Math.floor(Math.min(shared.length / 64, first!.isl / 16));
    expect(sharedBlocks(first!, second!)).toBeGreaterThanOrEqual(blocks);
  });

  it('is replayed by kvoyant lab run under any policy', async () => {
    const gateway = await recording();
    await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        complete(gateway, { prompt: `group ${i % 5}: ${sentence.repeat(30)} request ${i}`, stream: i % 2 === 0 }),
      ),
    );
    await recorded(gateway, 60);
    const printed = vi.spyOn(console, 'log').mockImplementation(() => {});
    const json = `${folder.path}/result.json`;
    const args = ['--workload', path, '--policy', 'round-robin,kv', '--workers', '2', '--warmup', '0', '--json', json];
    await labRunCommand().exitOverride().parseAsync(args, { from: 'user' });
    const { runs } = JSON.parse(readFileSync(json, 'utf8')) as {
      runs: { spec: { policy: string }; measured: { requests: number; failed: number }; cache: { hitRate: number } }[];
    };
    expect(runs.map(({ spec, measured }) => [spec.policy, measured])).toMatchObject([
      ['round-robin', { requests: 60, failed: 0 }],
      ['kv', { requests: 60, failed: 0 }],
    ]);
    expect(runs[1]!.cache.hitRate).toBeGreaterThan(0.7);
    expect(printed.mock.calls.flat().join('\n')).toMatch(/round-robin +-.*\nkv +\d.*60 requests/s);
  });
});

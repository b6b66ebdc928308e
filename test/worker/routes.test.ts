// The other routes of a simulated engine, and its refusals.

import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { loadTokenizer } from '../../src/tokens/load-tokenizer.ts';
import { plainChat } from '../../src/tokens/plain-chat.ts';
import { metric, metricBecomes, post, startFleet, startOne } from './fleet.ts';

async function refusal(response: Response): Promise<[status: number, type: string, param: string | null]> {
  const { error } = (await response.json()) as {
    error: { type: string; param: string | null; code: number; message: string };
  };
  expect(error.code).toBe(response.status);
  expect(error.message).not.toBe('');
  return [response.status, error.type, error.param];
}

describe('refusals', () => {
  it.each([
    ['a body that is no JSON', '{"prompt":', [400, 'Bad Request', null]],
    ['a field of the wrong type', { prompt: 'a', max_tokens: 'many' }, [400, 'Bad Request', 'max_tokens']],
    ['no prompt', {}, [400, 'Bad Request', 'prompt']],
    ['an empty list', { prompt: [] }, [400, 'Bad Request', 'prompt']],
    ['an empty prompt', { prompt: '' }, [400, 'BadRequestError', 'prompt']],
    ['a prompt of fractions', { prompt: [1.5] }, [400, 'Bad Request', 'prompt']],
    ['an unknown token', { prompt: [5000] }, [400, 'BadRequestError', 'prompt']],
    ['no output', { prompt: 'a', max_tokens: 0 }, [400, 'BadRequestError', 'max_tokens']],
    ['a prompt that fills the context', { prompt: 'a'.repeat(64) }, [400, 'BadRequestError', 'max_tokens']],
    ['a prompt above the context', { prompt: 'a'.repeat(65) }, [400, 'BadRequestError', 'prompt']],
    ['too much output', { prompt: 'a', max_tokens: 64 }, [400, 'BadRequestError', 'max_tokens']],
    ['too many answers', { prompt: ['a', 'b'], n: 1000 }, [400, 'BadRequestError', 'n']],
    ['stream options without a stream', { prompt: 'a', stream_options: {} }, [400, 'Bad Request', 'stream_options']],
    ['another model', { model: 'other', prompt: 'a' }, [404, 'NotFoundError', 'model']],
  ])('%s', async (_what, body, expected) => {
    expect(await refusal(await post(`${await startOne({ maxModelLen: 64 })}/v1/completions`, body))).toEqual(expected);
  });

  it('of chats without messages, of unknown routes and methods', async () => {
    const url = await startOne();
    expect(await refusal(await post(`${url}/v1/chat/completions`, { messages: [] }))).toEqual([
      400,
      'Bad Request',
      'messages',
    ]);
    const unknown = await fetch(`${url}/v2/models`);
    expect([unknown.status, await unknown.json()]).toEqual([404, { detail: 'Not Found' }]);
    const method = await fetch(`${url}/v1/completions`);
    expect([method.status, await method.json()]).toEqual([405, { detail: 'Method Not Allowed' }]);
  });

  it('of ranks other than 0; a rank that is not a number is ignored', async () => {
    const url = await startOne();
    const byRank = (rank: string) =>
      post(`${url}/v1/completions`, { prompt: 'a', max_tokens: 1 }, { 'x-data-parallel-rank': rank });
    const refused = await byRank('3');
    expect(await refused.clone().text()).toContain('data_parallel_rank 3 is out of range [0, 1).');
    expect(await refusal(refused)).toEqual([400, 'BadRequestError', null]);
    expect((await byRank('0')).status).toBe(200);
    expect((await byRank('first')).status).toBe(200);
  });

  it('of requests beyond the limit, all sequences of a request or none', async () => {
    const url = await startOne({ maxNumQueuedReqs: 2 });
    const refused = await post(`${url}/v1/completions`, { prompt: 'a', n: 3, max_tokens: 1 });
    expect(await refusal(refused)).toEqual([503, 'Service Unavailable', null]);
    expect((await post(`${url}/v1/completions`, { prompt: 'a', n: 2, max_tokens: 1 })).status).toBe(200);
    expect(await metric(url, 'vllm:admission_rejections_total')).toBe(1);
  });

  it('of clients without the key, on /v1 only', async () => {
    const url = await startOne({ apiKey: 'secret' });
    expect((await fetch(`${url}/v1/models`)).status).toBe(401);
    expect((await fetch(`${url}/v1/models`, { headers: { authorization: 'Bearer secret' } })).status).toBe(200);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  it('of bodies above 32 MiB', async () => {
    const { hostname, port } = new URL(await startOne());
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), hostname);
      const bytes = 33 * 1024 * 1024;
      socket.once('data', (data) => {
        socket.destroy();
        resolve(data.toString());
      });
      socket.on('error', reject);
      socket.write(`POST /v1/completions HTTP/1.1\r\nhost: engine\r\ncontent-length: ${bytes}\r\n\r\n`);
      socket.write(Buffer.alloc(bytes, 0x20));
    });
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  });
});

describe('routes', () => {
  it('report model, version and health', async () => {
    const url = await startOne({ maxModelLen: 512 });
    const models = (await (await fetch(`${url}/v1/models`)).json()) as { data: object[] };
    expect(models.data).toMatchObject([{ id: 'toy', object: 'model', root: 'toy', parent: null, max_model_len: 512 }]);
    expect(await (await fetch(`${url}/version`)).json()).toHaveProperty('version');
    for (const path of ['/health', '/ping']) expect((await fetch(`${url}${path}`)).status).toBe(200);
    expect(await (await fetch(`${url}/load`)).json()).toEqual({ server_load: 0 });
  });

  it('tokenize and detokenize', async () => {
    const url = await startOne({ maxModelLen: 512 });
    const json = async (path: string, body: object) => (await post(`${url}${path}`, body)).json();
    const tokens = [104, 105];
    expect(await json('/tokenize', { prompt: 'hi' })).toEqual({
      count: 2,
      max_model_len: 512,
      tokens,
      token_strs: null,
    });
    expect(await json('/tokenize', { messages: [{ role: 'a', content: 'b' }] })).toMatchObject({ count: 4 });
    expect(await json('/detokenize', { tokens })).toEqual({ prompt: 'hi' });
    expect(await refusal(await post(`${url}/tokenize`, {}))).toEqual([400, 'Bad Request', 'prompt']);
    expect(await refusal(await post(`${url}/tokenize`, { model: 'x', prompt: 'a' }))).toEqual([
      404,
      'NotFoundError',
      'model',
    ]);
    expect(await refusal(await post(`${url}/detokenize`, { tokens: ['a'] }))).toEqual([400, 'Bad Request', 'tokens.0']);
  });

  it("report the engine's counters", async () => {
    const url = await startOne({ blockSize: 4, blocks: 100 });
    for (let i = 0; i < 2; i++)
      await post(`${url}/v1/completions`, { prompt: 'abcdefghi', max_tokens: 3, ignore_eos: true });
    const values = await Promise.all(
      [
        'vllm:prompt_tokens_total',
        'vllm:prompt_tokens_by_source_total{engine="0",model_name="toy",source="local_compute"}',
        'vllm:prompt_tokens_by_source_total{engine="0",model_name="toy",source="local_cache_hit"}',
        'vllm:prefix_cache_queries_total',
        'vllm:prefix_cache_hits_total',
        'vllm:generation_tokens_total',
        'vllm:request_success_total{engine="0",model_name="toy",finished_reason="length"}',
        'vllm:num_requests_running',
        'vllm:num_requests_waiting',
        'vllm:kv_cache_usage_perc',
        'kvoyant_sim:prefill_tokens_total',
      ].map((start) => metric(url, start)),
    );
    expect(values).toEqual([18, 10, 8, 18, 8, 6, 2, 0, 0, 0, 10]);
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(text).toMatch(/^vllm:cache_config_info\{.*block_size="4".*num_gpu_blocks="100".*\} 1$/m);
    expect(text).toMatch(/kv_cache_size_tokens="400"/);
  });

  it('report the event source, or none', async () => {
    const fleet = await startFleet();
    const [{ url, kvEvents }] = fleet.workers as [(typeof fleet.workers)[number]];
    expect(await (await fetch(`${url}/kv_event_sources`)).json()).toMatchObject({
      '0': {
        enable_kv_cache_events: true,
        publisher: 'zmq',
        // With a wildcard, as of an engine that binds.
        endpoint: kvEvents!.replace('127.0.0.1', '*'),
        replay_endpoint: fleet.workers[0]!.publisher!.replayEndpoint,
        buffer_steps: 10_000,
        topic: '',
      },
    });
    const silent = await startFleet({ kvEvents: false });
    expect(silent.workers[0]!.kvEvents).toBeNull();
    expect(await (await fetch(`${silent.workers[0]!.url}/kv_event_sources`)).json()).toEqual({});
  });

  it('reset the prefix cache if no request uses it, or by preempting those that do', async () => {
    const url = await startOne({ blockSize: 4 });
    const reset = async (query = '') => (await post(`${url}/reset_prefix_cache${query}`, '')).json();
    const stop = new AbortController();
    const running = post(
      `${url}/v1/completions`,
      { prompt: 'abcdefghi', max_tokens: 9000, ignore_eos: true },
      {},
      stop.signal,
    );
    await metricBecomes(url, 'vllm:num_requests_running', 1);
    expect(await reset()).toEqual({ success: false });
    expect(await reset('?reset_running_requests=true')).toEqual({ success: true });
    expect(await metric(url, 'vllm:num_preemptions_total')).toBe(1);
    stop.abort();
    await expect(running).rejects.toThrow();
    await metricBecomes(url, 'vllm:num_requests_running', 0);
    expect(await reset()).toEqual({ success: true });
  });

  it('use the same token ids as everyone with the built-in tokenizer', async () => {
    const tokenizer = await loadTokenizer('builtin');
    const url = await startOne({ tokenizer: 'builtin' });
    const text = 'Routing 12345 tokens — déjà vu, 你好';
    const answer = (await (await post(`${url}/tokenize`, { prompt: text })).json()) as { tokens: number[] };
    expect(answer.tokens).toEqual(Array.from(await tokenizer.encode(text)));
    const messages = [{ role: 'user', content: text }];
    const chat = (await (await post(`${url}/tokenize`, { messages })).json()) as { tokens: number[] };
    expect(chat.tokens).toEqual(Array.from((await tokenizer.encodeChat(plainChat({ messages }))).ids));
    const response = await post(`${url}/v1/chat/completions`, { messages, max_tokens: 8, ignore_eos: true });
    const { choices } = (await response.json()) as { choices: { message: { content: string } }[] };
    expect(choices[0]!.message.content).not.toBe('');
    await tokenizer.close();
  });
});

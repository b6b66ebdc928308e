import { describe, expect, it } from 'vitest';
import { ConfigError, type GatewayOptions, resolveConfig } from '../../../src/gateway/config/config.ts';
import { kvTopicLengthMax, parseEngineSpec } from '../../../src/gateway/config/engine-spec.ts';

const workers = ['http://127.0.0.1:8001'];

function fault(options: object): string {
  try {
    resolveConfig(options as GatewayOptions);
  } catch (error) {
    if (error instanceof ConfigError) return `${error.setting} ${error.message}`;
    throw error;
  }
  return 'none';
}

describe('resolveConfig', () => {
  it('has the documented defaults', () => {
    expect(resolveConfig({ workers })).toMatchObject({
      workers: [{ url: workers[0] }],
      host: '127.0.0.1',
      port: 8000,
      policy: 'foresee',
      overlapWeight: 1,
      temperature: 0,
      tokenizer: 'engine',
      blockSize: 'auto',
      inFlightCredit: true,
      bodyBytesMax: 33_554_432,
      defaultCapacityBlocks: 8192,
    });
  });

  it('names the wrong setting and the allowed values', () => {
    expect(fault({ workers, port: 70_000 })).toBe('port must be an integer from 0 to 65535');
    expect(fault({ workers, port: '8000' })).toBe('port must be an integer from 0 to 65535');
    expect(fault({ workers, policy: 'best' })).toMatch(/^policy must be one of foresee, kv, round-robin/);
    expect(fault({ workers, overlapWeight: -1 })).toMatch(/^overlapWeight must be a number from 0/);
    expect(fault({ workers, blockSize: 0 })).toBe('blockSize must be auto or an integer from 1 to 65536');
    expect(fault({ workers, colour: 'red' })).toBe('colour is not a known setting');
    expect(fault({ workers: [] })).toMatch(/^workers names no worker/);
    expect(fault({ workers: ['http://a:1', 'http://a:1/'] })).toBe('workers names http://a:1 twice');
  });

  it("refuses workers that connect to one address and can't be distinguished there", () => {
    const at = (host: string, topic: string): string => `http://${host}:1,kv-events=bind:tcp://*:5557${topic}`;
    const topics = ['kv@a:1@m', 'kv@b:1@m', ''].map((topic, i) =>
      at(`h${i}`, topic === '' ? '' : `,kv-topic=${topic}`),
    );
    expect(fault({ workers: topics })).toBe('none');
    expect(fault({ workers: [at('a', ''), at('b', '')] })).toBe(
      "workers http://b:1 has no kv-topic at bind:tcp://*:5557, like another worker: their events can't be told apart",
    );
    expect(fault({ workers: [at('a', ',kv-topic=x'), at('b', ',kv-topic=x')] })).toMatch(/the kv-topic x at/);
    expect(fault({ workers: ['http://a:1,kv-events=tcp://x:1', 'http://b:1,kv-events=tcp://x:1'] })).toBe('none');
  });
});

describe('parseEngineSpec', () => {
  it('reads an address with all of its settings', () => {
    const text =
      'http://10.0.0.1:8000/api/,kv-events=tcp://10.0.0.1:5557,kv-topic=kv@10.0.0.1:8000@m/x,api-key=k=1,' +
      'blocks=100,block-size=32,model=m/x';
    expect(parseEngineSpec(text)).toEqual({
      kind: 'spec',
      spec: {
        url: 'http://10.0.0.1:8000/api',
        kvEvents: 'tcp://10.0.0.1:5557',
        kvTopic: 'kv@10.0.0.1:8000@m/x',
        apiKey: 'k=1',
        capacityBlocks: 100,
        blockSize: 32,
        model: 'm/x',
      },
    });
  });

  it.each([
    ['', /no http/],
    ['127.0.0.1:8000', /no http/],
    ['ftp://x', /no http/],
    ['http://x?a=1', /no http/],
    ['http://x,blocks', /key=value/],
    ['http://x,blocks=many', /blocks of http:\/\/x must be an integer from 1/],
    ['http://x,block-size=0', /block-size of http:\/\/x must be/],
    ['http://x,kv-events=5557', /kv-events of http:\/\/x must be like tcp:/],
    ['http://x,api-key=a b', /api-key/],
    ['http://x,kv-topic=', /"kv-topic" of http:\/\/x is not of the form/],
    [`http://x,kv-topic=${'k'.repeat(kvTopicLengthMax + 1)}`, /kv-topic of http:\/\/x is longer than 1024/],
    ['http://x,speed=9', /"speed" of http:\/\/x is unknown; allowed are kv-events/],
  ])('refuses %j', (text, message) => {
    const result = parseEngineSpec(text);
    expect(result.kind).toBe('wrong');
    if (result.kind === 'wrong') expect(result.message).toMatch(message);
  });
});

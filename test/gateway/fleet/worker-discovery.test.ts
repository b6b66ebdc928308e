import { describe, expect, it } from 'vitest';
import { engineAt } from '../../../src/gateway/fleet/worker-discovery.ts';

describe('engineAt', () => {
  it('replaces the name by the address in every address and in the topic', () => {
    const spec = {
      url: 'http://vllm:8000',
      dns: true as const,
      kvEvents: 'tcp://vllm:5557',
      kvReplay: 'tcp://vllm:5657',
      kvTopic: 'kv@vllm:8000@vllm',
    };
    expect(engineAt(spec, 'vllm', '10.0.0.1')).toEqual({
      url: 'http://10.0.0.1:8000',
      kvEvents: 'tcp://10.0.0.1:5557',
      kvReplay: 'tcp://10.0.0.1:5657',
      kvTopic: 'kv@10.0.0.1:8000@vllm',
    });
    expect(engineAt({ ...spec, kvTopic: 'kv@vllm' }, 'vllm', 'fd00::1')).toMatchObject({
      kvEvents: 'tcp://[fd00::1]:5557',
      kvTopic: 'kv@fd00::1',
    });
    expect(engineAt({ ...spec, kvTopic: 'kv-events' }, 'vllm', '10.0.0.1')).toMatchObject({ kvTopic: 'kv-events' });
  });
});

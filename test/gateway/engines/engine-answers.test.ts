import { afterEach, expect, it } from 'vitest';
import { Engine } from '../../../src/gateway/engines/engine.ts';
import { readBodyUsage } from '../../../src/wire/completion-chunk.ts';
import { FakeEngine } from '../../e2e/fake-engine.ts';
import captured from '../../golden/vllm-engine-facts.json' with { type: 'json' };

let fake: FakeEngine;
let engine: Engine;

afterEach(async () => {
  await engine.upstream.close();
  await fake.close();
});

it.each(captured)('reads cache and KV events of vLLM $version, $what', async (answers) => {
  const { version, what, cacheConfig, eventSources } = answers;
  const discovers = eventSources.status === 200;
  fake = await FakeEngine.start({
    metrics: `${cacheConfig}\n`,
    ...(discovers ? { eventSources: JSON.parse(eventSources.body) as object } : {}),
  });
  engine = new Engine({ url: `http://127.0.0.1:${fake.port}` });
  const prefixCaching = what !== 'prefix caching off';
  expect(await engine.probe.cacheConfigs()).toEqual([{ rank: 0, blockSize: 32, capacityBlocks: 199, prefixCaching }]);
  expect(discovers).toBe(version === '0.32.0');
  if (!discovers) await expect(engine.probe.feedAnnouncements()).rejects.toMatchObject({ status: 404 });
  else if (what === 'KV events off') expect(await engine.probe.feedAnnouncements()).toEqual([]);
  else {
    const source = { mode: 'connect', topic: '', replayEndpoint: expect.stringMatching(/^tcp:\/\/127\.0\.0\.1:\d+$/) };
    expect(await engine.probe.feedAnnouncements()).toMatchObject([{ kind: 'source', rank: 0, source }]);
  }
  if (answers.usageWithoutHit === undefined) return;
  const cachedTokens = version === '0.32.0' ? 0 : null;
  expect(readBodyUsage(Buffer.from(`{"usage":${answers.usageWithoutHit}}`))).toMatchObject({ cachedTokens });
});

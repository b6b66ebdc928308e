// The bench of peers runs small: the burst before simulated engines, and the proxies that this machine has.

import { describe, expect, it } from 'vitest';
import { measureGateways } from '../../bench/gateway/bench-gateway.ts';
import { bareRelay, everythingOn } from '../../bench/gateway/contenders.ts';
import { wordsOf } from '../../bench/gateway/texts.ts';
import { burstOfPr1731, burstRequests, burstTable, measureBurst } from '../../bench/peers/burst.ts';
import { proxyPeers } from '../../bench/peers/proxy-peers.ts';
import { loadBuiltinTokenizer } from '../../src/tokens/index.ts';

const small = { groups: 3, requestsPerGroup: 4, sharedWords: 100, ownWords: 10, outputTokens: 3, engines: 2 };
const options = { ...burstOfPr1731, ...small, dist: 'dist' };

describe('the burst', () => {
  it('is answered by kvoyant and by a plain relay', async () => {
    const words = wordsOf(await loadBuiltinTokenizer());
    const kvoyant = await measureBurst(everythingOn({ name: 'kvoyant', dist: 'dist' }), words, options);
    const relay = await measureBurst(bareRelay, words, options);
    for (const { failed, hitRate, busiestPrefillTokens } of [kvoyant, relay]) {
      expect(failed).toBe(0);
      expect(hitRate).toBeLessThan(1);
      expect(busiestPrefillTokens).toBeGreaterThan(100);
    }
    expect(kvoyant.hitRate).toBeGreaterThan(0.4);
    expect(burstTable([kvoyant, relay]).split('\n')).toHaveLength(4);
  }, 120_000);

  it('has groups that share their beginning, all at once', async () => {
    const words = wordsOf(await loadBuiltinTokenizer());
    const requests = burstRequests(words, options);
    const beginnings = requests.map(({ body }) => (JSON.parse(body) as { prompt: string }).prompt.slice(0, 200));
    expect(new Set(beginnings).size).toBe(small.groups);
    expect(new Set(requests.map(({ body }) => body)).size).toBe(small.groups * small.requestsPerGroup);
    expect(requests.every(({ arrivalMs }) => arrivalMs === 0)).toBe(true);
  });
});

it('measures installed proxies, and names missing ones', async () => {
  const said: string[] = [];
  const proxies = proxyPeers((line) => said.push(line));
  expect(proxies.length + said.length).toBe(2);
  const measurements = await measureGateways({
    contenders: proxies,
    texts: ['technical'],
    engines: 2,
    streams: [2],
    requestsAt: () => 4,
    warmUpRequests: 2,
    promptWords: 100,
    chunks: 3,
    chunkMs: 1,
    lockstep: true,
    seed: 3,
    rounds: 1,
    pin: false,
    say: () => undefined,
  });
  expect(measurements).toHaveLength(2 * (1 + proxies.length));
  for (const { requests, failed } of measurements) expect({ requests, failed }).toEqual({ requests: 2, failed: 0 });
}, 60_000);

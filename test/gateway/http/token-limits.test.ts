// Tokens per minute of keys and tenants: reserved, replaced by what was used, and told in headers.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clientKeys, readTenant, type Tenant } from '../../../src/gateway/config/tenants.ts';
import type { ClientUse } from '../../../src/gateway/exchange/client-use.ts';
import { LimitReached } from '../../../src/gateway/exchange/limit-reached.ts';
import { KeyLimits, type LimitedKey } from '../../../src/gateway/http/key-limits.ts';
import { durationText } from '../../../src/gateway/http/rate-headers.ts';
import { KeyShares } from '../../../src/gateway/peers/key-shares.ts';

const settings = {
  inFlightPerKeyMax: 0,
  requestsPerMinutePerKeyMax: 0,
  tokensPerMinutePerKeyMax: 0,
  countCachedTokens: true,
};

function tenant(fields: Partial<Tenant>): Tenant {
  const result = readTenant({ name: 'acme', ...fields });
  if (result.kind === 'wrong') throw new Error(result.message);
  return result.tenant;
}

function keyOf(ofTenant: Tenant | null, more: Partial<LimitedKey> = {}): LimitedKey {
  const none = { inFlightMax: null, requestsPerMinuteMax: null, tokensPerMinuteMax: null };
  return { name: 'a-key', ...none, ofTenant, ...more };
}

/** A request that is under way until `end`. */
class Request {
  readonly use: ClientUse;
  readonly end: () => Promise<void>;

  private constructor(use: ClientUse, end: () => Promise<void>) {
    this.use = use;
    this.end = end;
  }

  /** Work that is no request, such as a reservation. @throws LimitReached */
  static work(limits: KeyLimits, key: LimitedKey | null, nowMs: number): Request {
    const use = limits.tokensOf(key, settings, nowMs);
    return new Request(use, async () => {
      use.end();
      // Later calls do nothing.
      use.end();
    });
  }

  /** @throws LimitReached */
  static async start(limits: KeyLimits, key: LimitedKey | null, nowMs: number, of = settings): Promise<Request> {
    return new Promise((resolve, reject) => {
      const done = limits.within(key, of, nowMs, (use) => {
        return new Promise<void>((finish) => {
          resolve(
            new Request(use, async () => {
              finish();
              await done;
            }),
          );
        });
      });
      done.catch(reject);
    });
  }
}

describe('tokens per minute', () => {
  it('never let in more than the limit, with what is reserved, and have room after Retry-After', async () => {
    const step = fc.record({
      gapMs: fc.integer({ min: 0, max: 20_000 }),
      tokens: fc.integer({ min: 1, max: 400 }),
      used: fc.integer({ min: 0, max: 400 }),
      /** Requests that stay under way meanwhile. */
      open: fc.nat(3),
      isRequest: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const max = 1000;
        let nowMs = 0;
        const limits = new KeyLimits(() => nowMs);
        const key = keyOf(tenant({ tokensPerMinuteMax: max }));
        const open: { readonly request: Request; readonly reserved: number; readonly used: number }[] = [];
        const counted: { readonly minute: number; readonly tokens: number }[] = [];
        const lastMinute = (): number => {
          const minute = Math.floor(nowMs / 60_000);
          const of = (which: number) =>
            counted.filter((one) => one.minute === which).reduce((sum, { tokens }) => sum + tokens, 0);
          return of(minute) + of(minute - 1) * (1 - (nowMs % 60_000) / 60_000);
        };
        const finishOne = async (): Promise<void> => {
          const { request, used } = open.shift()!;
          request.use.used({ prompt: used, cached: null, output: 0 });
          counted.push({ minute: Math.floor(nowMs / 60_000), tokens: used });
          await request.end();
        };
        const start = async (tokens: number, isRequest: boolean): Promise<Request> => {
          const request = isRequest ? await Request.start(limits, key, nowMs) : Request.work(limits, key, nowMs);
          try {
            request.use.reserve(tokens);
            return request;
          } catch (error) {
            await request.end();
            throw error;
          }
        };
        for (const { gapMs, tokens, used, open: openMax, isRequest } of steps) {
          nowMs += gapMs;
          while (open.length > openMax) await finishOne();
          const held = open.reduce((sum, { reserved }) => sum + reserved, 0);
          const fits = held + lastMinute() + tokens <= max + 1e-6;
          try {
            open.push({ request: await start(tokens, isRequest), reserved: tokens, used });
            expect(fits).toBe(true);
          } catch (error) {
            if (!(error instanceof LimitReached)) throw error;
            expect(held + lastMinute() + tokens).toBeGreaterThan(max - 1e-6);
            expect(error.limit).toBe('tokensPerMinutePerTenantMax');
            expect(error.retryAfterS).toBeGreaterThanOrEqual(1);
            if (held > 0) continue;
            nowMs += error.retryAfterS! * 1000;
            // Where it is refused before it is read, there is room for a request of one token then.
            const again = await start(tokens, isRequest).catch((second: unknown) => {
              if (!(second instanceof LimitReached)) throw second;
              nowMs += second.retryAfterS! * 1000;
              return start(tokens, isRequest);
            });
            open.push({ request: again, reserved: tokens, used });
          }
        }
        while (open.length > 0) await finishOne();
        expect(limits.uses(nowMs).get('tenant:acme')?.lastMinuteTokens ?? 0).toBeCloseTo(lastMinute());
        expect(limits.uses(nowMs).get('tenant:acme')?.inFlight ?? 0).toBe(0);
      }),
    );
  });

  it('count over all keys of a tenant, and cached tokens only if they shall', async () => {
    for (const [countCachedTokens, left] of [
      [true, '400'],
      [false, '900'],
    ] as const) {
      const limits = new KeyLimits(() => 0);
      const acme = tenant({ tokensPerMinuteMax: 1000, requestsPerMinuteMax: 10 });
      const of = { ...settings, countCachedTokens };
      const first = await Request.start(limits, keyOf(acme, { name: 'one' }), 0, of);
      first.use.reserve(800);
      first.use.used({ prompt: 550, cached: 500, output: 50 });
      await first.end();
      const second = await Request.start(limits, keyOf(acme, { name: 'two' }), 0, of);
      const headers = second.use.headers();
      expect(headers).toEqual([
        ...['x-ratelimit-limit-requests', '10'],
        ...['x-ratelimit-remaining-requests', '8'],
        ...['x-ratelimit-reset-requests', '2m0s'],
        ...['x-ratelimit-limit-tokens', '1000'],
        ...['x-ratelimit-remaining-tokens', left],
        ...['x-ratelimit-reset-tokens', '2m0s'],
      ]);
      await second.end();
    }
  });

  it('name the tenant, its limit and what is left in the refusal', async () => {
    const limits = new KeyLimits(() => 0);
    const refused: string[][] = [];
    limits.observer = { refused: (...told) => refused.push(told) };
    const key = keyOf(tenant({ tokensPerMinuteMax: 100, inFlightMax: 1 }));
    const first = await Request.start(limits, key, 0);
    expect(() => first.use.reserve(101)).toThrow(
      /the request has 101 tokens, more than the limit of 100 tokens a minute of the tenant acme/,
    );
    first.use.reserve(100);
    const other = Request.start(limits, key, 0);
    await expect(other).rejects.toMatchObject({ status: 429, code: 'rate_limit_exceeded', retryAfterS: 1 });
    await expect(other).rejects.toThrow('the limit of 1 requests at a time of the tenant acme is reached');
    first.use.used({ prompt: 100, cached: null, output: 0 });
    await first.end();
    await expect(Request.start(limits, key, 0)).rejects.toMatchObject({
      message: 'the limit of 100 tokens a minute of the tenant acme is reached',
      headers: { 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-limit-tokens': '100' },
    });
    expect(refused).toEqual([
      ['acme', 'tokensPerMinutePerTenantMax'],
      ['acme', 'inFlightPerTenantMax'],
      ['acme', 'tokensPerMinutePerTenantMax'],
    ]);
  });

  it('limit a key beside its tenant', async () => {
    const limits = new KeyLimits(() => 0);
    const key = keyOf(tenant({ tokensPerMinuteMax: 1000 }), { tokensPerMinuteMax: 50 });
    const request = await Request.start(limits, key, 0);
    expect(() => request.use.reserve(51)).toThrow(/50 tokens a minute$/);
    await request.end();
  });

  it('hold over replicas', async () => {
    const nowMs = 60_000;
    const acme = tenant({ tokensPerMinuteMax: 1000 });
    const replicas = ['r0', 'r1'].map((name) => {
      const limits = new KeyLimits(() => nowMs);
      const shares = new KeyShares(name, 2);
      limits.shares = shares;
      return { name, limits, shares };
    });
    const [first, second] = [replicas[0]!, replicas[1]!];
    const tell = (): void => {
      for (const [from, to] of [
        [first, second],
        [second, first],
      ] as const) {
        const uses = from.limits.uses(nowMs);
        expect(to.shares.read(from.shares.write(uses), () => true)).toBe(true);
      }
      for (const { limits, shares, name } of replicas) {
        shares.settle(limits.uses(nowMs), new Set(['r0', 'r1'].filter((other) => other !== name)));
      }
    };
    const spend = async ({ limits }: (typeof replicas)[number], tokens: number): Promise<void> => {
      const request = await Request.start(limits, keyOf(acme), nowMs);
      request.use.used({ prompt: tokens, cached: null, output: 0 });
      await request.end();
    };
    await spend(first, 450);
    await spend(second, 550);
    tell();
    await expect(spend(first, 1)).rejects.toThrow('the limit of 1000 tokens a minute of the tenant acme is reached');
  });
});

describe('keys of tenants', () => {
  const key = {
    name: 'k',
    certificates: [],
    hash: '',
    inFlightMax: null,
    requestsPerMinuteMax: null,
    tokensPerMinuteMax: null,
    routing: false,
    selection: false,
  };

  it('may do what both allow', () => {
    const acme = tenant({ models: ['a', 'b'], priorities: [0, 5] });
    const merged = (models: string[] | null, priorities: [number, number] | null) =>
      clientKeys([{ ...key, tenant: 'acme', models, priorities }], [acme])[0]!;
    expect(merged(null, null)).toMatchObject({ models: ['a', 'b'], priorities: [0, 5], ofTenant: acme });
    expect(merged(['b', 'c'], [3, 9])).toMatchObject({ models: ['b'], priorities: [3, 5] });
    expect(merged(['c'], [7, 9])).toMatchObject({ models: [], priorities: [5, 5] });
    expect(clientKeys([{ ...key, tenant: null, models: null, priorities: null }], [acme])[0]!.ofTenant).toBeNull();
  });

  it('are read from texts too', () => {
    expect(readTenant('acme,weight=3,tokens-per-minute-max=5000')).toMatchObject({
      kind: 'tenant',
      tenant: { name: 'acme', weight: 3, tokensPerMinuteMax: 5000, inFlightMax: 0, models: null },
    });
    for (const wrong of ['', 'a b', 'acme,weight=0', 'acme,weight', 'acme,color=1', 'acme,weight=-1']) {
      expect(readTenant(wrong).kind).toBe('wrong');
    }
    for (const wrong of [
      {},
      { name: 'a', weight: 1001 },
      { name: 'a', models: null },
      { name: 'a', priorities: [2, 1] },
      { name: 'a', tokensPerMinuteMax: '5' },
      { name: 'a', colour: 1 },
    ]) {
      expect(readTenant(wrong).kind).toBe('wrong');
    }
  });
});

describe('durationText', () => {
  it('is written as OpenAI does', () => {
    expect([0, 0.2, 17, 999.5, 1000, 1001, 59_001, 61_500, 360_000].map(durationText)).toEqual([
      ...['0ms', '1ms', '17ms', '1s', '1s', '2s', '1m0s', '1m2s', '6m0s'],
    ]);
  });
});

import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/index.ts';
import { KeyLimits } from '../../../src/gateway/http/key-limits.ts';
import { KeyShares, othersKeysMax } from '../../../src/gateway/peers/key-shares.ts';

const roundMs = 250;
const none = {
  inFlightPerKeyMax: 0,
  requestsPerMinutePerKeyMax: 0,
  tokensPerMinutePerKeyMax: 0,
  countCachedTokens: true,
};

/** Replicas in virtual time: they tell each other their use every round. */
class Replicas {
  readonly names: readonly string[];
  readonly limits: readonly KeyLimits[];
  readonly shares: readonly KeyShares[];
  isConnected = true;
  nowMs = 60_000;

  constructor(count: number) {
    this.names = Array.from({ length: count }, (_, i) => `r${i}`);
    this.limits = this.names.map(() => new KeyLimits());
    this.shares = this.names.map((name) => new KeyShares(name, 1));
    for (const [i, limits] of this.limits.entries()) limits.shares = this.shares[i]!;
    this.#round();
    this.#round();
  }

  advance(ms: number): void {
    const rounds = Math.floor((this.nowMs + ms) / roundMs) - Math.floor(this.nowMs / roundMs);
    this.nowMs += ms;
    for (let i = 0; i < rounds; i++) this.#round();
  }

  #round(): void {
    const uses = this.limits.map((limits) => limits.uses(this.nowMs));
    const told = this.shares.map((shares, i) => shares.write(uses[i]!));
    for (const [i, shares] of this.shares.entries()) {
      const others = new Set(this.names.filter((name) => name !== this.names[i]));
      for (const [j, bytes] of told.entries()) {
        if (this.isConnected && i !== j) expect(shares.read(bytes, (name) => others.has(name))).toBe(true);
      }
      shares.settle(uses[i]!, this.isConnected ? others : null);
    }
  }

  /** @returns ends the request; null: refused */
  async request(at: number, settings: typeof none): Promise<(() => void) | null> {
    let end = (): void => undefined;
    const lasting = new Promise<void>((resolve) => {
      end = resolve;
    });
    let isAdmitted = false;
    const done = this.limits[at]!.within(null, settings, this.nowMs, () => {
      isAdmitted = true;
      return lasting;
    });
    done.catch(() => undefined);
    await Promise.resolve();
    return isAdmitted ? end : null;
  }
}

describe('limits by key over several replicas', () => {
  it.each([2, 3, 5])(
    'of requests in flight hold within a tenth over %i replicas, however demand moves',
    async (count) => {
      const max = 100;
      const replicas = new Replicas(count);
      const random = new Random(count);
      const running: { endMs: number; end: () => void }[] = [];
      let peak = 0;
      let area = 0;
      let samples = 0;
      let favourite = 0;
      for (let step = 0; step < 4000; step++) {
        replicas.advance(10);
        if (step % 800 === 0) favourite = random.below(count);
        for (let i = running.length - 1; i >= 0; i--) {
          if (running[i]!.endMs <= replicas.nowMs) running.splice(i, 1)[0]!.end();
        }
        await Promise.resolve();
        // Twice as many as fit.
        for (let i = 0; i < 4; i++) {
          const at = random.below(3) === 0 ? random.below(count) : favourite;
          const end = await replicas.request(at, { ...none, inFlightPerKeyMax: max });
          if (end !== null) running.push({ endMs: replicas.nowMs + 400 + random.below(200), end });
        }
        peak = Math.max(peak, running.length);
        if (step > 400) {
          area += running.length;
          samples++;
        }
      }
      expect(peak).toBeLessThanOrEqual(1.1 * max);
      expect(area / samples).toBeGreaterThan(0.8 * max);
      for (const { end } of running) end();
    },
  );

  it.each([2, 4])('of requests per minute hold within a tenth over %i replicas', async (count) => {
    const max = 600;
    const replicas = new Replicas(count);
    const random = new Random(count);
    const admitted: number[] = [];
    let most = 0;
    for (let step = 0; step < 24_000; step++) {
      replicas.advance(10);
      // Thrice as many as fit, of which one replica gets more.
      if (random.below(100) >= 30) continue;
      const end = await replicas.request(random.below(2) === 0 ? 0 : random.below(count), {
        ...none,
        requestsPerMinutePerKeyMax: max,
      });
      if (end === null) continue;
      end();
      admitted.push(replicas.nowMs);
      while (admitted[0]! <= replicas.nowMs - 60_000) admitted.shift();
      most = Math.max(most, admitted.length);
    }
    expect(most).toBeLessThanOrEqual(1.1 * max);
    expect(admitted.length).toBeGreaterThan(0.8 * max);
  });

  it('keep their last shares while NATS is gone', async () => {
    const replicas = new Replicas(3);
    const settings = { ...none, inFlightPerKeyMax: 30 };
    const fill = async (at: number): Promise<(() => void)[]> => {
      const ends: (() => void)[] = [];
      for (let i = 0; i < 40; i++) {
        const end = await replicas.request(at, settings);
        if (end !== null) ends.push(end);
      }
      return ends;
    };
    const first = await Promise.all([0, 1, 2].map(fill));
    const total = first.flat().length;
    expect(total).toBeGreaterThanOrEqual(27);
    expect(total).toBeLessThanOrEqual(33);
    replicas.advance(1000);
    replicas.isConnected = false;
    for (const end of first.flat()) end();
    await new Promise((resolve) => setImmediate(resolve));
    replicas.advance(5000);
    const again = await Promise.all([0, 1, 2].map(fill));
    expect(again.flat().length).toBeLessThanOrEqual(33);
    expect(again.map(({ length }) => length).every((length) => length >= 8)).toBe(true);
    for (const end of again.flat()) end();
  });

  it('leave all to the only replica', async () => {
    const replicas = new Replicas(1);
    replicas.advance(1000);
    const ends: (() => void)[] = [];
    for (let i = 0; i < 12; i++) {
      const end = await replicas.request(0, { ...none, inFlightPerKeyMax: 10 });
      if (end !== null) ends.push(end);
    }
    expect(ends).toHaveLength(10);
    for (const end of ends) end();
  });

  it('are not moved by strangers, other versions or nonsense', () => {
    const shares = new KeyShares('a', 2);
    const told = new KeyShares('b', 2).write(
      new Map([[null, { inFlight: 1e6, lastMinute: 1e6, lastMinuteTokens: 1e6, asked: 1e6 }]]),
    );
    expect(shares.read(told, () => false)).toBe(false);
    for (const text of [
      '',
      '{}',
      '[]',
      '{"version":2,"replica":"b","keys":[]}',
      '{"version":1,"replica":"b","keys":[[1]]}',
    ]) {
      expect(shares.read(new TextEncoder().encode(text), () => true)).toBe(false);
    }
    expect(shares.allowance(null, 10, 'inFlight')).toBe(5);
  });
});

it('reads the use of only so many keys of all other replicas together', () => {
  const shares = new KeyShares('me', 1);
  const uses = new Map(
    Array.from({ length: 4096 }, (_, at) => [`k${at}`, { inFlight: 1, lastMinute: 0, lastMinuteTokens: 0, asked: 0 }]),
  );
  const read = (replica: string): boolean => shares.read(new KeyShares(replica, 1).write(uses), () => true);
  const fit = othersKeysMax / uses.size;
  for (let at = 0; at < fit; at++) expect(read(`r${at}`)).toBe(true);
  expect(read('late')).toBe(false);
  expect(read('r0')).toBe(true);
  // Those that are gone make room.
  shares.settle(new Map(), new Set(['r0', 'late']));
  expect(read('late')).toBe(true);
});

import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BodyBudget, bodiesBytesMax } from '../../../src/gateway/exchange/body-budget.ts';
import { jsonItemsMax, parsedBytes } from '../../../src/gateway/exchange/json-weight.ts';
import { readBody } from '../../../src/gateway/exchange/request-body.ts';

const mib = 1024 * 1024;

function incoming(headers: Readonly<Record<string, string>> = {}): { stream: PassThrough; request: IncomingMessage } {
  const stream = new PassThrough();
  return { stream, request: Object.assign(stream, { headers }) as unknown as IncomingMessage };
}

describe('readBody', () => {
  it('joins chunks of any sizes in at most twice their memory plus 64 KiB', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 50_000 }), { maxLength: 20 }), async (pieces) => {
        const whole = Buffer.concat(pieces);
        const budget = new BodyBudget(() => 100 * mib);
        const lease = budget.lease();
        const { stream, request } = incoming();
        const read = readBody(request, 10 * mib, lease);
        for (const piece of pieces) stream.write(piece);
        stream.end();
        expect(await read).toEqual(whole);
        expect(budget.heldBytes).toBeLessThanOrEqual(2 * whole.length + 65_536);
        lease.release();
        expect(budget.heldBytes).toBe(0);
      }),
      { numRuns: 30 },
    );
  });

  it('takes at most the announced length', async () => {
    const budget = new BodyBudget(() => 100 * mib);
    const { stream, request } = incoming({ 'content-length': '100000' });
    const read = readBody(request, 10 * mib, budget.lease());
    stream.write(Buffer.alloc(65_000, 'a'));
    stream.end(Buffer.alloc(35_000, 'b'));
    expect(await read).toHaveLength(100_000);
    expect(budget.heldBytes).toBe(100_000);
  });

  it('refuses a body above the limit or the lease, and frees what has arrived', async () => {
    const tooLarge = incoming();
    const read = readBody(tooLarge.request, 1000, null);
    tooLarge.stream.write(Buffer.alloc(1001));
    await expect(read).rejects.toMatchObject({ status: 413 });
    const budget = new BodyBudget(() => 300_000);
    budget.lease().growTo(150_000);
    const { stream, request } = incoming();
    const lease = budget.lease();
    const refused = readBody(request, 10 * mib, lease);
    stream.write(Buffer.alloc(60_000));
    stream.write(Buffer.alloc(60_000));
    await expect(refused).rejects.toMatchObject({ status: 503, limit: 'bodiesBytesMax', retryAfterS: 1 });
    lease.release();
    expect(budget.heldBytes).toBe(150_000);
  });

  it('refuses a body in tiny chunks and closes its connection; a few are allowed', async () => {
    const few = incoming();
    const small = readBody(few.request, 10_000, null);
    for (let i = 0; i < 1000; i++) few.stream.write('x');
    few.stream.end();
    expect(await small).toHaveLength(1000);
    const { stream, request } = incoming();
    const read = readBody(request, 10_000, null);
    for (let i = 0; i < 1100; i++) stream.write('x');
    await expect(read).rejects.toMatchObject({ status: 400, limit: 'bodyPiecesMax' });
    expect(stream.destroyed).toBe(true);
  });

  it('returns null if the client leaves', async () => {
    const { stream, request } = incoming();
    const read = readBody(request, 1000, null);
    stream.write('{');
    stream.destroy();
    expect(await read).toBe(null);
  });
});

describe('the budget of all bodies', () => {
  it('keeps room for small bodies beside large ones', () => {
    const budget = new BodyBudget(() => 100 * mib);
    let large = 0;
    for (; large < 100; large++) {
      try {
        budget.lease().growTo(30 * mib);
      } catch {
        break;
      }
    }
    expect(large).toBe(2);
    for (let i = 0; i < 1000; i++) budget.lease().growTo(16_384);
    expect(budget.heldBytes).toBeLessThan(100 * mib);
  });

  it('returns to zero after any use of leases, and never exceeds its limit', () => {
    const step = fc.record({ lease: fc.nat(5), bytes: fc.nat(800), releases: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const budget = new BodyBudget(() => 1000);
        const leases = Array.from({ length: 6 }, () => budget.lease());
        for (const { lease, bytes, releases } of steps) {
          try {
            if (releases) leases[lease]!.release();
            else leases[lease]!.growTo(bytes);
          } catch (error) {
            expect([413, 503]).toContain((error as { status: number }).status);
          }
          expect(budget.heldBytes).toBeGreaterThanOrEqual(0);
          expect(budget.heldBytes).toBeLessThanOrEqual(1000);
        }
        for (const lease of leases) lease.release();
        expect(budget.heldBytes).toBe(0);
      }),
    );
  });

  it('fits at least the largest body', () => {
    expect(bodiesBytesMax({ bodiesBytesMax: 'auto', bodyBytesMax: 2 ** 40 })).toBe(3 * 2 ** 40);
    expect(bodiesBytesMax({ bodiesBytesMax: 5000, bodyBytesMax: 1024 })).toBe(5000);
  });
});

describe('the memory of parsed JSON', () => {
  it('is estimated from its structure and its characters', () => {
    const bytesOf = (text: string): number => parsedBytes(Buffer.from(text));
    expect(bytesOf('x'.repeat(1000))).toBe(1000);
    // Two bytes per character as soon as one is beyond Latin-1.
    expect(bytesOf(`${'x'.repeat(999)}\u{4e00}`)).toBe(2000);
    expect(bytesOf(`[${'{},'.repeat(1000)}{}]`)).toBeGreaterThan(1000 * 70);
    expect(bytesOf(`[${'1,'.repeat(1000)}1]`)).toBeGreaterThan(1000 * 12);
  });

  it('is refused above the limit on items', () => {
    expect(() => parsedBytes(Buffer.from(','.repeat(jsonItemsMax)))).not.toThrow();
    expect(() => parsedBytes(Buffer.from(','.repeat(jsonItemsMax + 1)))).toThrow(/more than 1048576 objects/);
  });
});

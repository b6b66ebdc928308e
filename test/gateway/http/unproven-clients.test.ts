import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressesIn, isAddressRange } from '../../../src/gateway/address-range.ts';
import { clientOf } from '../../../src/gateway/http/client-address.ts';
import { UnprovenClients } from '../../../src/gateway/http/unproven-clients.ts';

describe('UnprovenClients', () => {
  it('equals its naive twin after any sequence of operations', () => {
    const step = fc.record({ add: fc.boolean(), client: fc.constantFrom('a', 'b', 'c', 'd'), pick: fc.nat(20) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const clients = new UnprovenClients<number>();
        let all: { client: string; id: number }[] = [];
        for (const [id, { add, client, pick }] of steps.entries()) {
          if (add) {
            clients.add(client, id);
            all.push({ client, id });
          } else {
            const { client: of, id: gone } = all[pick % Math.max(1, all.length)] ?? { client, id: -1 };
            clients.remove(of, gone);
            all = all.filter((other) => other.id !== gone);
          }
          const countOf = (name: string): number => all.filter((other) => other.client === name).length;
          const most = Math.max(...['a', 'b', 'c', 'd'].map(countOf));
          expect(clients.most).toBe(most);
          expect(clients.count).toBe(all.length);
          for (const name of ['a', 'b', 'c', 'd']) {
            expect(clients.countOf(name)).toBe(countOf(name));
            expect(clients.oldestOf(name)).toBe(all.find((other) => other.client === name)?.id ?? null);
          }
          const victim = clients.oldestOfMost();
          if (all.length === 0) expect(victim).toBe(null);
          else expect(countOf(all.find((other) => other.id === victim)!.client)).toBe(most);
        }
      }),
    );
  });
});

describe('addresses', () => {
  it('of one machine count as one client', () => {
    expect(clientOf('::ffff:10.1.2.3')).toBe(clientOf('10.1.2.3'));
    expect(clientOf('10.1.2.3')).not.toBe(clientOf('10.1.2.4'));
    expect(clientOf('2001:db8:1:2:3::4')).toBe(clientOf('2001:0DB8:1:2:ffff:ffff:ffff:ffff'));
    expect(clientOf('2001:db8::1')).toBe(clientOf('2001:db8:0:0:9::'));
    expect(clientOf('2001:db8:1:2::1')).not.toBe(clientOf('2001:db8:1:3::1'));
    expect(clientOf('fe80::1%eth0')).toBe(clientOf('fe80::2%eth1'));
    expect(clientOf('::1')).toBe('0:0:0:0::/64');
  });

  it('are in a range or not', () => {
    const isIn = addressesIn(['10.0.0.0/8', '192.168.1.7', 'fd00::/8']);
    for (const inside of ['10.255.0.1', '::ffff:10.0.0.1', '192.168.1.7', 'fd12::1']) expect(isIn(inside)).toBe(true);
    for (const outside of ['11.0.0.1', '192.168.1.8', 'fe80::1%eth0', '', 'x']) expect(isIn(outside)).toBe(false);
    expect(addressesIn([])('127.0.0.1')).toBe(false);
  });

  it('are written as addresses or ranges', () => {
    for (const right of ['10.0.0.1', '10.0.0.0/8', '::1', 'fd00::/128']) expect(isAddressRange(right)).toBe(true);
    for (const wrong of ['', 'proxy', '10.0.0', '10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/8/8', '10.0.0.0/-1']) {
      expect(isAddressRange(wrong), wrong).toBe(false);
    }
  });
});

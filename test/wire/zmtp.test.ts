import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/core/random.ts';
import {
  greetingFault,
  readCommand,
  writeGreeting,
  writeMessage,
  writePong,
  writeReady,
  writeSubscription,
} from '../../src/wire/zmtp.ts';
import { type ZmtpItem, type ZmtpLimits, ZmtpReader } from '../../src/wire/zmtp-reader.ts';

const limits: ZmtpLimits = { frameBytesMax: 200_000, messageBytesMax: 300_000, framesMax: 4 };

/** All items of a connection, its bytes cut into chunks. */
function itemsOf(chunks: readonly Buffer[]): ZmtpItem[] {
  const reader = new ZmtpReader(limits);
  const items: ZmtpItem[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let item = reader.next(); item !== null; item = reader.next()) {
      items.push(item);
      if (item.kind === 'failed') return items;
    }
  }
  return items;
}

function cut(bytes: Buffer, lengths: () => number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + Math.max(1, lengths()));
    chunks.push(bytes.subarray(at, end));
    at = end;
  }
  return chunks;
}

const print = (frame: Buffer): string => `${frame.length} ${createHash('sha1').update(frame).digest('hex')}`;

const plain = (items: readonly ZmtpItem[]): unknown[] =>
  items.map((item) => (item.kind === 'message' ? item.frames.map(print) : item.kind));

describe('ZMTP', () => {
  it('greets as ZMTP 3.0 with the mechanism NULL', () => {
    const greeting = writeGreeting();
    expect(greeting.toString('hex')).toMatch(/^ff00000000000000017f0300(4e554c4c)(00)+$/);
    expect(greetingFault(greeting)).toBeNull();
    expect(greetingFault(Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.padEnd(64)))).toBe('does not speak ZMTP');
    const curve = writeGreeting();
    curve.write('CURVE', 12);
    expect(greetingFault(curve)).toBe('asks for the security mechanism CURVE');
    greeting[10] = 1;
    expect(greetingFault(greeting)).toBe('speaks ZMTP 1, not 3');
  });

  it('reads the commands that it writes, and any others that a peer may send', () => {
    const body = (frame: Buffer): Buffer => frame.subarray(2);
    expect(readCommand(body(writeReady('SUB')))).toEqual({ kind: 'ready', socketType: 'SUB' });
    const ping = Buffer.from('\x04PING\x00\x0acontext', 'latin1');
    expect(readCommand(ping)).toEqual({ kind: 'ping', context: Buffer.from('context') });
    expect(body(writePong(Buffer.from('context'))).toString('latin1')).toBe('\x04PONGcontext');
    expect(readCommand(Buffer.from('\x05ERROR\x03no!', 'latin1'))).toEqual({ kind: 'error', reason: 'no!' });
    expect(readCommand(Buffer.from('\x09SUBSCRIBEx', 'latin1'))).toEqual({ kind: 'other' });
    for (const bytes of ['', '\x09x', '\x05READY', '\x05READY\xffx', '\x05READY\x01x\xff\xff\xff\xff']) {
      expect(readCommand(Buffer.from(bytes, 'latin1')), JSON.stringify(bytes)).toEqual({ kind: 'malformed' });
    }
    expect(readCommand(Buffer.from(`\x04PING\0\0${'x'.repeat(17)}`, 'latin1'))).toEqual({ kind: 'malformed' });
    expect(writeSubscription('kv@', true).toString('latin1')).toBe('\x00\x04\x01kv@');
  });

  it('returns the same items however the bytes are cut', () => {
    const random = new Random(7);
    const draw = (max: number): number => Math.floor(random.float() * max);
    const messages = Array.from({ length: 60 }, () =>
      Array.from({ length: 1 + draw(4) }, () => Buffer.alloc([0, 1, 255, 256, 70_000][draw(5)]!, draw(256))),
    );
    const bytes = Buffer.concat([writeGreeting(), writeReady('PUB'), ...messages.map(writeMessage)]);
    const whole = plain(itemsOf([bytes]));
    expect(whole).toEqual(['greeting', 'command', ...messages.map((frames) => frames.map(print))]);
    for (const most of [3, 100, 5000, 200_000]) {
      expect(plain(itemsOf(cut(bytes, () => draw(most)))), `chunks below ${most} bytes`).toEqual(whole);
    }
    expect(plain(itemsOf(cut(bytes.subarray(0, 4000), () => 1)))).toEqual(
      whole.slice(0, plain(itemsOf([bytes.subarray(0, 4000)])).length),
    );
  });

  it.each([
    ['a frame of 2^63 bytes', Buffer.from('027fffffffffffffff', 'hex'), /more than 200000 bytes/],
    ['a frame above the limit', Buffer.from('020000000000030d41', 'hex'), /more than 200000 bytes/],
    [
      'a message above the limit',
      Buffer.concat([
        Buffer.from('030000000000030d40', 'hex'),
        Buffer.alloc(200_000),
        Buffer.from('030000000000030d40', 'hex'),
      ]),
      /more than 100000 bytes/,
    ],
    ['too many frames', Buffer.from('0100'.repeat(5), 'hex'), /more than 4 frames/],
    ['a long command', Buffer.from('060000000000010000', 'hex'), /command of more than/],
    ['a command with more behind it', Buffer.from('0500', 'hex'), /unknown flags/],
    ['unknown flags', Buffer.from('8000', 'hex'), /unknown flags/],
  ])('ends at %s', (_, bytes, reason) => {
    const last = itemsOf([writeGreeting(), bytes]).at(-1)!;
    expect(last.kind === 'failed' && last.reason).toMatch(reason);
  });

  it('holds no more memory than has arrived, whatever a header announces, and counts each chunk', () => {
    const reader = new ZmtpReader({ ...limits, frameBytesMax: 8_000_000, messageBytesMax: 8_000_000 });
    reader.push(writeGreeting());
    reader.next();
    reader.push(Buffer.from('0200000000007a1200', 'hex'));
    expect(reader.next()).toBeNull();
    expect(reader.heldBytes).toBeLessThanOrEqual(65_536);
    for (let i = 0; i < 1000; i++) reader.push(Buffer.alloc(1));
    expect(reader.heldBytes).toBeGreaterThan(1000 * 256);
    expect(reader.next()).toBeNull();
    expect(reader.heldBytes).toBeLessThanOrEqual(65_536);
    let came = 1000;
    for (; came + 100_000 < 8_000_000; came += 100_000) {
      reader.push(Buffer.alloc(100_000));
      expect(reader.next()).toBeNull();
      expect(reader.heldBytes).toBeLessThanOrEqual(Math.max(65_536, 2 * (came + 100_000)));
    }
  });
});

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

/** All items of a connection, its bytes cut into chunks. The memory of a chunk is used again, as by a socket. */
function itemsOf(chunks: readonly Buffer[]): ZmtpItem[] {
  const reader = new ZmtpReader(limits);
  const items: ZmtpItem[] = [];
  for (const chunk of chunks) {
    const memory = Buffer.from(chunk);
    reader.push(memory);
    memory.fill(0xaa);
    for (let item = reader.next(); item !== null; item = reader.next()) {
      items.push(lasting(item));
      if (item.kind === 'failed') return items;
    }
  }
  return items;
}

/** An item is valid only until the next one. */
function lasting(item: ZmtpItem): ZmtpItem {
  if (item.kind === 'message') return { kind: 'message', frames: item.frames.map((frame) => Buffer.from(frame)) };
  return item.kind === 'command' ? { kind: 'command', body: Buffer.from(item.body) } : item;
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

  it('returns a message that stays as it is while more arrives, whatever other connections read', () => {
    const random = new Random(11);
    const draw = (max: number): number => Math.floor(random.float() * max);
    const readers = Array.from({ length: 8 }, () => {
      const messages = Array.from({ length: 40 }, () =>
        Array.from({ length: 1 + draw(3) }, () => Buffer.alloc([0, 7, 900, 30_000, 90_000][draw(5)]!, draw(256))),
      );
      const bytes = Buffer.concat([writeGreeting(), ...messages.map(writeMessage)]);
      const read: string[][] = [];
      return { reader: new ZmtpReader(limits), messages, chunks: cut(bytes, () => draw(65_536)), read };
    });
    while (readers.some(({ chunks }) => chunks.length > 0)) {
      const { reader, chunks, read } = readers[draw(readers.length)]!;
      const chunk = chunks.shift();
      if (chunk === undefined) continue;
      reader.push(chunk);
      for (let item = reader.next(); item !== null; item = reader.next()) {
        const more = chunks.shift();
        if (more !== undefined) reader.push(more);
        const other = readers[draw(readers.length)]!;
        const others = other.reader === reader ? undefined : other.chunks.shift();
        if (others !== undefined) other.reader.push(others);
        if (item.kind === 'message') read.push(item.frames.map(print));
      }
    }
    for (const { messages, read, reader } of readers) {
      for (let item = reader.next(); item !== null; item = reader.next()) {
        if (item.kind === 'message') read.push(item.frames.map(print));
      }
      expect(read).toEqual(messages.map((frames) => frames.map(print)));
      expect(reader.heldBytes).toBe(0);
    }
  });

  it('returns commands between the frames of a message, which count as bytes of it', () => {
    const pinged = Buffer.concat([Buffer.from('0407', 'hex'), Buffer.from('\x04PING\0\0', 'latin1')]);
    const message = writeMessage(['topic', 'payload']);
    const head = message.subarray(0, 7);
    const items = itemsOf([Buffer.concat([writeGreeting(), head, pinged, pinged, message.subarray(7), pinged])]);
    expect(items.map(({ kind }) => kind)).toEqual(['greeting', 'command', 'command', 'message', 'command']);
    expect(items.flatMap((item) => (item.kind === 'message' ? item.frames.map(String) : []))).toEqual([
      'topic',
      'payload',
    ]);
    const endless = Array.from({ length: 40_000 }, () => Buffer.from('0400', 'hex'));
    const last = itemsOf([writeGreeting(), head, ...endless]).at(-1)!;
    expect(last.kind).toBe('failed');
  });

  it('holds no more memory than has arrived, whatever a header announces', () => {
    const reader = new ZmtpReader({ ...limits, frameBytesMax: 8_000_000, messageBytesMax: 8_000_000 });
    reader.push(writeGreeting());
    reader.next();
    reader.push(Buffer.from('0200000000007a1200', 'hex'));
    expect(reader.next()).toBeNull();
    expect(reader.heldBytes).toBeLessThanOrEqual(65_536);
    for (let i = 0; i < 1000; i++) reader.push(Buffer.alloc(1));
    expect(reader.heldBytes).toBeLessThanOrEqual(65_536);
    expect(reader.next()).toBeNull();
    expect(reader.heldBytes).toBeLessThanOrEqual(65_536);
    let came = 1000;
    for (; came + 100_000 < 8_000_000; came += 100_000) {
      reader.push(Buffer.alloc(100_000));
      expect(reader.next()).toBeNull();
      expect(reader.heldBytes).toBeLessThanOrEqual(Math.max(65_536, 2 * (9 + came + 100_000)));
    }
  });
});

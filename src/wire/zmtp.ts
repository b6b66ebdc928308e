// ZMTP 3.0, the protocol between ZeroMQ sockets (rfc.zeromq.org/spec/23): greeting, commands and frames as bytes.

export const greetingBytes = 64;

const flagMore = 1;
const flagLong = 2;
const flagCommand = 4;

/** Commands after the greeting, as far as a subscriber needs them. */
export type ZmtpCommand =
  | { readonly kind: 'ready'; readonly socketType: string }
  | { readonly kind: 'error'; readonly reason: string }
  | { readonly kind: 'ping'; readonly context: Uint8Array }
  | { readonly kind: 'other' }
  | { readonly kind: 'malformed' };

/** Limit of the specification: the context of a PING has at most 16 bytes. */
const pingContextMax = 16;
const textMax = 64;

/** Version 3.0, mechanism NULL. */
export function writeGreeting(): Buffer {
  const greeting = Buffer.alloc(greetingBytes);
  greeting[0] = 0xff;
  greeting[8] = 1;
  greeting[9] = 0x7f;
  greeting[10] = 3;
  greeting.write('NULL', 12, 'latin1');
  return greeting;
}

/** @returns what is wrong with the peer's greeting, or null */
export function greetingFault(greeting: Uint8Array): string | null {
  if (greeting[0] !== 0xff || (greeting[9]! & 1) !== 1) return 'does not speak ZMTP';
  if (greeting[10]! < 3) return `speaks ZMTP ${greeting[10]}, not 3`;
  const mechanism = shownText(greeting.subarray(12, 32));
  return mechanism === 'NULL' ? null : `asks for the security mechanism ${mechanism}`;
}

export function writeReady(socketType: string): Buffer {
  const type = Buffer.from(socketType, 'latin1');
  const property = (name: string, value: Uint8Array): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(value.length);
    return Buffer.concat([Buffer.from([name.length]), Buffer.from(name, 'latin1'), length, value]);
  };
  const body = Buffer.concat([named('READY'), property('Socket-Type', type), property('Identity', Buffer.alloc(0))]);
  return Buffer.concat([frameHead(flagCommand, body.length), body]);
}

export function writePong(context: Uint8Array): Buffer {
  const body = Buffer.concat([named('PONG'), context]);
  return Buffer.concat([frameHead(flagCommand, body.length), body]);
}

/** The message by which a SUB socket of ZMTP 3.0 subscribes to a topic or unsubscribes. */
export function writeSubscription(topic: string, subscribes: boolean): Buffer {
  return writeMessage([Buffer.concat([Buffer.from([subscribes ? 1 : 0]), Buffer.from(topic)])]);
}

export function writeMessage(frames: readonly (string | Uint8Array)[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const [i, frame] of frames.entries()) {
    const body = typeof frame === 'string' ? Buffer.from(frame) : frame;
    parts.push(frameHead(i < frames.length - 1 ? flagMore : 0, body.length), body);
  }
  return Buffer.concat(parts);
}

/** Reads the body of a command. Never throws. */
export function readCommand(body: Uint8Array): ZmtpCommand {
  const nameLength = body[0];
  if (nameLength === undefined || 1 + nameLength > body.length) return { kind: 'malformed' };
  const data = body.subarray(1 + nameLength);
  switch (shownText(body.subarray(1, 1 + nameLength))) {
    case 'READY':
      return readReady(data);
    case 'ERROR':
      return { kind: 'error', reason: shownText(data.subarray(1)) };
    case 'PING': {
      const context = data.subarray(2);
      return context.length > pingContextMax ? { kind: 'malformed' } : { kind: 'ping', context };
    }
    default:
      return { kind: 'other' };
  }
}

function readReady(data: Uint8Array): ZmtpCommand {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = 0; at < data.length; ) {
    const nameEnd = at + 1 + data[at]!;
    if (nameEnd + 4 > data.length) return { kind: 'malformed' };
    const valueEnd = nameEnd + 4 + view.getUint32(nameEnd);
    if (valueEnd > data.length) return { kind: 'malformed' };
    // Property names are case-insensitive.
    if (shownText(data.subarray(at + 1, nameEnd)).toLowerCase() === 'socket-type') {
      return { kind: 'ready', socketType: shownText(data.subarray(nameEnd + 4, valueEnd)) };
    }
    at = valueEnd;
  }
  return { kind: 'malformed' };
}

/** The peer's text, made safe for a log line. */
function shownText(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, textMax))
    .toString('latin1')
    .replace(/\0+$/, '')
    .replace(/[^\x20-\x7e]/g, '?');
}

function named(name: string): Buffer {
  return Buffer.concat([Buffer.from([name.length]), Buffer.from(name, 'latin1')]);
}

function frameHead(flags: number, length: number): Buffer {
  if (length < 256) return Buffer.from([flags, length]);
  const head = Buffer.alloc(9);
  head[0] = flags | flagLong;
  head.writeUInt32BE(length, 5);
  return head;
}

/** Bits of a frame's flags. */
export const frameFlags = { more: flagMore, long: flagLong, command: flagCommand } as const;

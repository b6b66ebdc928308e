// Recognizes events of a stream that equal an earlier one except for the text of its token, without parsing them.

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const quote = 0x22;
const backslash = 0x5c;
const space = 0x20;
const colon = 0x3a;

const nothing: Buffer = Buffer.alloc(0);

/** Keys whose string is the token's text; with the colon and the quote they can't be part of a JSON string. */
const textKeys = [Buffer.from('content":"'), Buffer.from('text":"')];
const dataField = Buffer.from('data:');

/**
 * An event is the bytes before the text, the text, and the bytes behind it. If only the text differs, and it is a JSON
 * string of which no quote and no line break is part, then the two events have the same members with the same values
 * except for that one string.
 */
export class EventTemplate {
  /** A longer event is no template. */
  static readonly eventBytesMax: number = 4096;
  /** A longer text is not recognized. */
  static readonly textBytesMax: number = 64 * 1024;

  #before: Buffer = nothing;
  #behind: Buffer = nothing;

  /** Takes the last event as the template. @param events whole ones, to the blank line @returns whether it can be one */
  learn(events: Buffer): boolean {
    this.#before = this.#behind = nothing;
    const event = events.subarray(lastEventStart(events));
    if (event.length > EventTemplate.eventBytesMax || !isOneLine(event)) return false;
    const start = textStart(event);
    const end = start === -1 ? -1 : textEnd(event, start);
    // What follows the text must not make a key of it, as in JSON that is broken.
    if (end === -1 || event[end + 1] === colon) return false;
    // Copies: the event may lie in a buffer that is used again.
    this.#before = Buffer.from(event.subarray(0, start));
    this.#behind = Buffer.from(event.subarray(end));
    return true;
  }

  /** Length of an event like the template at `from`; 0 if there is none. O(length), without allocation. */
  match(bytes: Buffer, from: number): number {
    const before = this.#before;
    const behind = this.#behind;
    if (before.length === 0 || bytes.length - from < before.length + behind.length) return 0;
    if (!equals(bytes, from, before)) return 0;
    const end = textEnd(bytes, from + before.length);
    if (end === -1 || bytes.length - end < behind.length || !equals(bytes, end, behind)) return 0;
    return end + behind.length - from;
  }
}

/** Where the last event begins: behind the blank line before it. */
function lastEventStart(events: Buffer): number {
  for (let at = events.length - 4; at >= 0 && events.length - at <= EventTemplate.eventBytesMax; at--) {
    if (events[at] !== lineFeed) continue;
    if (events[at + 1] === lineFeed) return at + 2;
    if (events[at + 1] === carriageReturn && events[at + 2] === lineFeed) return at + 3;
  }
  return 0;
}

/** `data:`, one line, and a blank line. */
function isOneLine(event: Buffer): boolean {
  if (!equals(event, 0, dataField)) return false;
  const lineEnd = event.indexOf(lineFeed);
  if (lineEnd === -1) return false;
  const rest = event.length - lineEnd - 1;
  if (rest === 1) return event[lineEnd + 1] === lineFeed;
  return rest === 2 && event[lineEnd + 1] === carriageReturn && event[lineEnd + 2] === lineFeed;
}

function textStart(event: Buffer): number {
  for (const key of textKeys) {
    const at = event.indexOf(key);
    if (at !== -1) return at + key.length;
  }
  return -1;
}

/** Where the JSON string ends whose first character is at `at`: its closing quote; -1 if there is none before a control character. */
function textEnd(bytes: Buffer, at: number): number {
  const last = Math.min(bytes.length, at + EventTemplate.textBytesMax);
  for (let end = at; end < last; end++) {
    const byte = bytes[end]!;
    if (byte === quote) return end;
    if (byte < space) return -1;
    if (byte !== backslash) continue;
    end += 1;
    if (end < bytes.length && bytes[end]! < space) return -1;
  }
  return -1;
}

/** Compares backwards: events of one stream differ at the end, if at all. */
function equals(bytes: Buffer, from: number, expected: Buffer): boolean {
  if (bytes.length - from < expected.length) return false;
  for (let at = expected.length - 1; at >= 0; at--) if (bytes[from + at] !== expected[at]) return false;
  return true;
}

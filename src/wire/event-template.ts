// Recognizes events of a stream that equal an earlier one except for the token's text, without parsing them.

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const quote = 0x22;
const backslash = 0x5c;
const space = 0x20;
const colon = 0x3a;

const nothing: Buffer = Buffer.alloc(0);

/** Keys of the token's text; with colon and quote they can't occur inside a JSON string. */
const textKeys = [Buffer.from('content":"'), Buffer.from('text":"')];
const dataField = Buffer.from('data:');

/**
 * An event consists of the bytes before the text, the text, and the bytes after it. If only the text differs, and it is
 * the inside of a JSON string without quotes and line breaks, both events have equal members except for that string.
 */
export class EventTemplate {
  /** A longer event does not become a template. */
  static readonly eventBytesMax: number = 4096;
  /** A longer text is not recognized. */
  static readonly textBytesMax: number = 64 * 1024;

  #before: Buffer = nothing;
  #behind: Buffer = nothing;

  /** Makes the last event the template. @param events complete, with the blank line @returns whether it is suitable */
  learn(events: Buffer): boolean {
    this.#before = this.#behind = nothing;
    const event = events.subarray(lastEventStart(events));
    if (event.length > EventTemplate.eventBytesMax || !isOneLine(event)) return false;
    const start = textStart(event);
    const end = start === -1 ? -1 : textEnd(event, start);
    // A colon would make the text a key, as in invalid JSON.
    if (end === -1 || event[end + 1] === colon) return false;
    // Copied, since the event may be in a reused buffer.
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

/** Offset of the last event: after the blank line before it. */
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

/** Offset of the closing quote of the JSON string that begins at `at`; -1 if a control character comes first. */
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

/** Compares backwards, since events of one stream usually differ near the end. */
function equals(bytes: Buffer, from: number, expected: Buffer): boolean {
  if (bytes.length - from < expected.length) return false;
  for (let at = expected.length - 1; at >= 0; at--) if (bytes[from + at] !== expected[at]) return false;
  return true;
}

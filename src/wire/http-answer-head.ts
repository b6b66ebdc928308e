// The head of an HTTP/1.1 answer: status line and headers, read strictly.

/** By lower-case name; a repeated header has all its values. */
export type AnswerHeaders = Record<string, string | string[]>;

/** The bytes are not an HTTP/1.1 answer, or exceed a limit. */
export class HttpFormatError extends Error {
  override readonly name = 'HttpFormatError';
  readonly code = 'HPE_INVALID_ANSWER';
}

const httpName = Buffer.from('HTTP/1.');

/** Another protocol shows in its first bytes, long before a head would end. */
export function beginsLikeHead(bytes: Buffer): boolean {
  return httpName.subarray(0, bytes.length).equals(bytes.subarray(0, httpName.length));
}

export interface Head {
  readonly status: number;
  /** The x of HTTP/1.x. */
  readonly minor: number;
  readonly headers: AnswerHeaders;
}

export const noStatusLine = 'an answer does not begin with the status line of HTTP/1.x';
const statusLine = /^HTTP\/1\.([01]) (\d{3})(?: [^\r\n]*)?$/;
const headerLine = /^([!#$%&'*+.^`|~\w-]+):[ \t]*([^\0\r\n]*)$/;

/** @param text without the blank line at its end */
export function parseHead(text: string): Head {
  const lines = text.split('\r\n');
  const [, minor, status] = statusLine.exec(lines[0]!) ?? [];
  if (status === undefined) throw new HttpFormatError(noStatusLine);
  const headers: AnswerHeaders = Object.create(null) as AnswerHeaders;
  for (let at = 1; at < lines.length; at++) {
    const [, name, rest] = headerLine.exec(lines[at]!) ?? [];
    if (name === undefined) throw new HttpFormatError('a header of an answer is malformed');
    const key = name.toLowerCase();
    const value = rest!.trimEnd();
    const known = headers[key];
    if (known === undefined) headers[key] = value;
    else if (typeof known === 'string') headers[key] = [known, value];
    else known.push(value);
  }
  return { status: Number(status), minor: Number(minor), headers };
}

export function lengthOf(value: string | string[]): number {
  if (typeof value === 'string' && /^\d{1,15}$/.test(value)) return Number(value);
  throw new HttpFormatError('the content-length of an answer is not one number');
}

export function staysOpen(minor: number, connection: string | string[] | undefined): boolean {
  const tokens = String(connection ?? '').toLowerCase();
  if (/(?:^|,)[ \t]*close[ \t]*(?:,|$)/.test(tokens)) return false;
  return minor === 1 || /(?:^|,)[ \t]*keep-alive[ \t]*(?:,|$)/.test(tokens);
}

export function idleMsOf(keepAlive: string | string[] | undefined): number | null {
  const [, seconds] = /timeout=(\d{1,9})/i.exec(String(keepAlive ?? '')) ?? [];
  return seconds === undefined ? null : 1000 * Number(seconds);
}

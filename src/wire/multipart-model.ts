// Reads the model that a multipart form (RFC 7578) names, and refuses forms that another reader could understand
// differently.

import { type BodyLength, noLength } from './body-length.ts';
import type { Span } from './json-members.ts';
import { type ModelReading, modelLengthMax } from './json-model.ts';

/** `span`: where the form names it; null: it does not. */
export type FormModelReading =
  | (ModelReading & { readonly kind: 'model'; readonly span: Span | null })
  | (ModelReading & { readonly kind: 'wrong' });

/** Limits on the parts of a form and on the header bytes of one part. */
const partsMax = 64;
const headBytesMax = 4096;

const typeForm = /^\s*multipart\/form-data\s*;\s*boundary=(?:"([\w'()+,./:=? -]{1,70})"|([\w'+./-]{1,70}))\s*$/i;
/** Names may not have escapes, which another reader could decode to `model`. The file name does not matter. */
const dispositionForm =
  /^form-data\s*;\s*name="([^"\\%\r\n]*)"(?:\s*;\s*filename="(?:[^"\\\r\n]|\\[^\r\n])*")?(?:\s*;\s*filename\*=[^;"\s]+)?$/i;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Linear in the body, without copying it. @param contentType of the request, or null */
export function readMultipartModel(body: Buffer, contentType: string | null): FormModelReading {
  const match = typeForm.exec(contentType ?? '');
  const boundary = match?.[1] ?? match?.[2];
  if (boundary === undefined) return wrong('the content-type must be multipart/form-data with a boundary');
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  let at = delimiter.length - 2;
  if (!isAt(body, 0, `--${boundary}`)) return wrong('the form must begin with its boundary');
  const models: Span[] = [];
  const length = { ...noLength };
  for (let parts = 0; ; parts++) {
    if (isAt(body, at, '--')) break;
    if (parts === partsMax) return wrong(`the form has more than ${partsMax} parts`);
    if (!isAt(body, at, '\r\n')) return wrong('a boundary of the form is not followed by a line end');
    const headEnd = body.subarray(at, at + headBytesMax).indexOf('\r\n\r\n');
    if (headEnd === -1) return wrong(`a part of the form has no headers, or more than ${headBytesMax} bytes of them`);
    const name = nameOf(body.toString('latin1', at + 2, at + headEnd));
    if (name === null) return wrong('a part of the form has no readable content-disposition');
    const start = at + headEnd + 4;
    // Empty content shares the line end of its headers.
    const end = body.indexOf(delimiter, start - 2);
    if (end === -1) return wrong('the form does not end with its boundary');
    const span = { start, end: Math.max(start, end) };
    const bytes = span.end - span.start;
    if (name.toLowerCase() === 'model') models.push(span);
    else if (name === 'file') length.fileBytes += bytes;
    else length.textBytes += bytes;
    at = end + delimiter.length;
  }
  if (models.length > 1) return wrong('the form names the model twice');
  return models.length === 0 ? { kind: 'model', model: null, span: null, length } : textOf(body, models[0]!, length);
}

/** @returns null if the name can't be read, or is ambiguous */
function nameOf(head: string): string | null {
  const values = head
    .split('\r\n')
    .map((line) => /^([\w-]+)[ \t]*:[ \t]*(.*?)[ \t]*$/.exec(line))
    .flatMap((line) => (line === null ? [null] : line[1]!.toLowerCase() === 'content-disposition' ? [line[2]!] : []));
  if (values.length !== 1 || values[0] === null) return null;
  return dispositionForm.exec(values[0]!)?.[1] ?? null;
}

function textOf(body: Buffer, span: Span, length: BodyLength): FormModelReading {
  const content = body.subarray(span.start, span.end);
  if (content.length > modelLengthMax) return wrong(`model is longer than ${modelLengthMax} bytes`);
  try {
    return { kind: 'model', model: utf8.decode(content), span, length };
  } catch {
    return wrong('model is not UTF-8');
  }
}

function isAt(body: Buffer, at: number, text: string): boolean {
  return body.toString('latin1', at, at + text.length) === text;
}

function wrong(message: string): FormModelReading {
  return { kind: 'wrong', message };
}

// Streams the lines of a text file, plain or gzipped. Detects gzip by content, not by name.

import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { TraceError } from './trace-error.ts';

/** A longer line ends the reading with `trace-too-large`. */
export const lineCharactersMax = 256 * 1024 * 1024;

export interface TraceLine {
  /** File and line number, for messages. */
  readonly at: string;
  readonly text: string;
}

/**
 * Yields the lines that are not blank, without their line end (LF or CR LF).
 * @throws TraceError `trace-unreadable` or `trace-too-large`
 */
export async function* traceLines(path: string): AsyncGenerator<TraceLine, void, undefined> {
  let number = 0;
  let rest: string[] = [];
  let restCharacters = 0;
  try {
    for await (const chunk of decodedText(path)) {
      const pieces = chunk.split('\n');
      const last = pieces.pop()!;
      for (const piece of pieces) {
        number++;
        const text = (rest.length === 0 ? piece : rest.join('') + piece).trimEnd();
        rest = [];
        restCharacters = 0;
        if (text !== '') yield { at: `${path}:${number}`, text };
      }
      rest.push(last);
      restCharacters += last.length;
      if (restCharacters > lineCharactersMax) {
        throw new TraceError('trace-too-large', `${path}:${number + 1}: longer than ${lineCharactersMax} characters`);
      }
    }
  } catch (error) {
    if (error instanceof TraceError || !isSystemError(error)) throw error;
    throw new TraceError('trace-unreadable', `${path}: can't be read: ${error.message}`, { cause: error });
  }
  const text = rest.join('').trimEnd();
  if (text !== '') yield { at: `${path}:${number + 1}`, text };
}

async function* decodedText(path: string): AsyncGenerator<string, void, undefined> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
    const gzipped = bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
    const bytes = file.createReadStream({ start: 0, autoClose: false });
    // An error of either stream reaches the loop below, which reads the last one.
    const text = gzipped ? pipeline(bytes, createGunzip(), () => {}) : bytes;
    text.setEncoding('utf8');
    yield* text as AsyncIterable<string>;
  } finally {
    await file.close();
  }
}

/** Whether an error comes from the file system or zlib, not from a bug or the consumer. */
const isSystemError = (error: unknown): error is NodeJS.ErrnoException => error instanceof Error && 'code' in error;

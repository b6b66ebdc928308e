// The file of a traffic recording: append-only, and repaired when a crash or failed write leaves part of a line.

import { type FileHandle, open } from 'node:fs/promises';
import { decodeHeader, isHeader } from '../../trace/recorder.ts';
import { ConfigError } from '../config/config.ts';

/** Appends whole lines. */
export interface LineFile {
  /** One call at a time. Rejects if the write fails; a partial write is removed before the next line. */
  append(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

type RecordingHandle = Pick<FileHandle, 'write' | 'stat' | 'truncate' | 'close'>;

/** Longer than any header. */
const headerBytesMax = 1024;
const tailBytes = 65_536;
const newline = 0x0a;

/**
 * Opens or creates the file and appends the header of a new recording.
 * @throws ConfigError `record` if the file can't be used or holds something else
 */
export async function openRecordingFile(path: string, header: string): Promise<LineFile> {
  try {
    const file = await RecordingFile.open(path, decodeHeader(path, header).blockTokens);
    await file.append(Buffer.from(`${header}\n`)).catch(async (error: unknown) => {
      await file.close();
      throw error;
    });
    return file;
  } catch (error) {
    throw new ConfigError('record', `can't record to ${path}: ${(error as Error).message}`);
  }
}

export class RecordingFile implements LineFile {
  readonly #handle: RecordingHandle;
  /** Bytes of a failed append that are in the file. */
  #tornBytes = 0;

  /** @param handle opened for appending, at the end of a line */
  constructor(handle: RecordingHandle) {
    this.#handle = handle;
  }

  static async open(path: string, blockTokens: number): Promise<RecordingFile> {
    // Lengths and times of requests are private.
    const handle = await open(path, 'a+', 0o600);
    try {
      const stat = await handle.stat();
      if (!stat.isFile()) throw new Error('it is no file');
      if (stat.size > 0) await checkHeader(handle, path, blockTokens);
      const bytes = await wholeLinesBytes(handle, stat.size);
      if (bytes < stat.size) await handle.truncate(bytes);
      return new RecordingFile(handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async append(bytes: Uint8Array): Promise<void> {
    await this.#cutTorn();
    while (this.#tornBytes < bytes.length) {
      this.#tornBytes += (await this.#handle.write(bytes, this.#tornBytes)).bytesWritten;
    }
    this.#tornBytes = 0;
  }

  async close(): Promise<void> {
    try {
      await this.#cutTorn();
    } finally {
      await this.#handle.close();
    }
  }

  async #cutTorn(): Promise<void> {
    if (this.#tornBytes === 0) return;
    const { size } = await this.#handle.stat();
    await this.#handle.truncate(Math.max(0, size - this.#tornBytes));
    this.#tornBytes = 0;
  }
}

async function checkHeader(handle: FileHandle, path: string, blockTokens: number): Promise<void> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(headerBytesMax), 0, headerBytesMax, 0);
  const [first = ''] = buffer.toString('utf8', 0, bytesRead).split('\n', 1);
  if (!isHeader(first)) throw new Error('there is something else in it');
  const found = decodeHeader(`${path}:1`, first).blockTokens;
  if (found !== blockTokens) throw new Error(`it has blocks of ${found} tokens, not ${blockTokens}`);
}

/** @returns offset of the end of the last whole line */
export async function wholeLinesBytes(handle: FileHandle, bytes: number): Promise<number> {
  const tail = Buffer.alloc(tailBytes);
  for (let end = bytes; end > 0; ) {
    const start = Math.max(0, end - tailBytes);
    const { bytesRead } = await handle.read(tail, 0, end - start, start);
    const at = tail.subarray(0, bytesRead).lastIndexOf(newline);
    if (at >= 0) return start + at + 1;
    end = start;
  }
  return 0;
}

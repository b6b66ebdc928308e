// The file for billing: one JSON line for each answered attempt, on the disk within a second of its end.
//
// Requests never wait for the disk. What it does not take yet waits in a bounded buffer; beyond that, usages are summed up
// by key and model, so that no token is missing, and the sums follow when the disk works again. A line that a crash has cut
// is removed at the next start.

import { type FileHandle, open, stat } from 'node:fs/promises';
import type { Logger } from 'pino';
import { ConfigError, type GatewayConfig } from '../config/config.ts';
import { otherLabel } from './label-cap.ts';
import { RecordingFile, wholeLinesBytes } from './recording-file.ts';
import type { UsageEntry } from './usage-entry.ts';

/** Longest wait of a line before it is written. */
const flushMs = 250;
/** How long shutdown waits for a disk that does not respond. */
const closeMsMax = 5000;
/** Sums of different keys and models; further ones count as `(other)`. */
const usageSumsMax = 4096;

export type UsageFate = 'written' | 'summed' | 'write-failed';

export interface UsageFileOptions {
  readonly bufferBytesMax: number;
  readonly log: Logger;
  onLines(fate: UsageFate, count: number): void;
}

interface Opened {
  readonly handle: FileHandle;
  readonly lines: RecordingFile;
}

/** Opens or creates the file. @returns null if there shall be none @throws ConfigError `usageFile` if it can't be used */
export async function openUsageFile(
  { usageFile: path, usageBufferBytesMax }: Pick<GatewayConfig, 'usageFile' | 'usageBufferBytesMax'>,
  { log, onLines }: Omit<UsageFileOptions, 'bufferBytesMax'>,
): Promise<UsageFile | null> {
  if (path === null) return null;
  try {
    return new UsageFile(path, await openLines(path), { bufferBytesMax: usageBufferBytesMax, log, onLines });
  } catch (error) {
    throw new ConfigError('usageFile', `can't write to ${path}: ${(error as Error).message}`);
  }
}

async function openLines(path: string): Promise<Opened> {
  const handle = await open(path, 'a+', 0o600);
  try {
    const found = await handle.stat();
    const { size } = found;
    if (!found.isFile()) throw new Error('it is no file');
    const bytes = await wholeLinesBytes(handle, size);
    if (bytes < size) await handle.truncate(bytes);
    return { handle, lines: new RecordingFile(handle) };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

export class UsageFile {
  readonly #path: string;
  readonly #options: UsageFileOptions;
  /** Null: it has to be opened again. */
  #opened: Opened | null;
  #waiting: Buffer[] = [];
  /** Bytes of lines that wait or are being written. */
  #bufferedBytes = 0;
  readonly #sums = new Map<string, UsageEntry>();
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();
  #isFailing = false;
  #isSumming = false;
  #closed = false;

  constructor(path: string, opened: Opened, options: UsageFileOptions) {
    this.#path = path;
    this.#opened = opened;
    this.#options = options;
  }

  /** Never throws and never waits. */
  add(entry: UsageEntry): void {
    if (this.#closed) return;
    this.#buffer(entry);
    this.#soon();
  }

  /** Writes all, as far as the disk takes it. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const ended = this.#writing
      .then(() => this.#write())
      // The sums become lines only after the others are written.
      .then(() => this.#write())
      .then(() => this.#opened?.lines.close());
    const { log } = this.#options;
    const isLost = await Promise.race([
      ended.then(
        () => this.#bufferedBytes > 0 || this.#sums.size > 0,
        () => true,
      ),
      new Promise<true>((resolve) => setTimeout(() => resolve(true), closeMsMax).unref()),
    ]);
    if (isLost) log.error({ path: this.#path }, 'the disk does not take the usage of the last requests: it is lost');
  }

  #buffer(entry: UsageEntry): void {
    const { bufferBytesMax, log, onLines } = this.#options;
    const line = Buffer.from(`${lineOf(entry)}\n`);
    if (this.#bufferedBytes + line.length <= bufferBytesMax) {
      this.#bufferedBytes += line.length;
      this.#waiting.push(line);
      return;
    }
    onLines('summed', entry.requests);
    this.#sum(entry);
    if (this.#isSumming) return;
    this.#isSumming = true;
    log.error(
      { path: this.#path, bufferBytesMax },
      'the disk is too slow for the usage: it is summed up by key and model',
    );
  }

  #sum(entry: UsageEntry): void {
    let { tenant, key, model } = entry;
    let name = JSON.stringify([tenant, key, model, entry.source]);
    let before = this.#sums.get(name);
    if (before === undefined && this.#sums.size >= usageSumsMax) {
      [tenant, key, model] = [otherLabel, otherLabel, otherLabel];
      name = otherLabel;
      before = this.#sums.get(name);
    }
    this.#sums.set(name, {
      ...{ tenant, key, model, requestId: null, source: entry.source, outcome: 'done' },
      requests: (before?.requests ?? 0) + entry.requests,
      promptTokens: (before?.promptTokens ?? 0) + entry.promptTokens,
      cachedTokens: (before?.cachedTokens ?? 0) + (entry.cachedTokens ?? 0),
      outputTokens: (before?.outputTokens ?? 0) + entry.outputTokens,
    });
  }

  #soon(): void {
    if (this.#timer !== null || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#writing = this.#write().then(() => {
        this.#timer = null;
        if (this.#bufferedBytes > 0 || this.#sums.size > 0) this.#soon();
      });
    }, flushMs);
    this.#timer.unref();
  }

  /** Writes what waits now; what can't be written goes on waiting. Never rejects. */
  async #write(): Promise<void> {
    const { log, onLines } = this.#options;
    const lines = this.#waiting;
    if (lines.length === 0 && this.#sums.size === 0) return;
    const bytes = Buffer.concat(lines);
    this.#waiting = [];
    try {
      const file = await this.#current();
      if (bytes.length > 0) await file.lines.append(bytes);
      this.#bufferedBytes -= bytes.length;
      onLines('written', lines.length);
    } catch (error) {
      this.#waiting = [...lines, ...this.#waiting];
      onLines('write-failed', lines.length);
      if (!this.#isFailing) log.error({ path: this.#path, err: error }, 'the usage can not be written: it waits');
      this.#isFailing = true;
      await this.#reopenLater();
      return;
    }
    if (this.#isFailing) log.warn({ path: this.#path }, 'writing the usage works again');
    this.#isFailing = false;
    this.#isSumming = false;
    // The sums go out as lines, after those that came before them.
    const sums = [...this.#sums.values()];
    this.#sums.clear();
    for (const sum of sums) this.#buffer(sum);
    await this.#opened!.handle.datasync().catch((error: unknown) => {
      log.error({ path: this.#path, err: error }, 'the disk has not confirmed the usage');
    });
  }

  /** The file at the path: another one after a rotation. */
  async #current(): Promise<Opened> {
    if (this.#opened !== null && !(await isAt(this.#path, this.#opened.handle))) await this.#reopenLater();
    this.#opened ??= await openLines(this.#path);
    return this.#opened;
  }

  async #reopenLater(): Promise<void> {
    const opened = this.#opened;
    this.#opened = null;
    // A torn line that can't be removed is removed when the file is opened again.
    await opened?.lines.close().catch(() => undefined);
  }
}

async function isAt(path: string, handle: FileHandle): Promise<boolean> {
  try {
    const [there, here] = await Promise.all([stat(path), handle.stat()]);
    return there.ino === here.ino && there.dev === here.dev;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

function lineOf({ tenant, key, model, requestId, source, outcome, ...tokens }: UsageEntry): string {
  const { requests, promptTokens, cachedTokens, outputTokens } = tokens;
  return JSON.stringify({
    time: new Date().toISOString(),
    ...{ requestId, tenant, key, model, requests, promptTokens, cachedTokens, outputTokens, source, outcome },
  });
}

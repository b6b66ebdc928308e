// Records traffic for the lab: one line per sequence when its request ends, without any text of it.
//
// Requests never wait for the disk. Lines wait in a bounded buffer while a write is in progress. Lines that do not fit
// or can't be written are dropped, counted and logged.

import type { Logger } from 'pino';
import type { BlockHasher } from '../../core/index.ts';
import { type FinishedRequest, RequestRecorder } from '../../trace/recorder.ts';
import type { GatewayConfig } from '../config/config.ts';
import { hashContents, type LengthGuess, type PromptContent, promptBytes } from '../prompts/prompt-content.ts';
import type { DecisionRecord } from './decision-log.ts';
import { type LineFile, openRecordingFile } from './recording-file.ts';

/** The parts of an intake that are recorded. */
export interface RecordedIntake {
  readonly pool: { readonly name: string; readonly lengthGuess: LengthGuess };
  readonly lora: string | null;
  readonly request: { readonly sequences: number; readonly cacheSalt: string | null };
  readonly contents: readonly PromptContent[];
}

type RecordedAttempt = Pick<DecisionRecord, 'outcome' | 'outputTokens' | 'usage'> &
  Partial<Pick<DecisionRecord, 'continuedTokens'>>;

export interface RecordedExchange {
  /** As of the recorder's monotonic clock. */
  readonly startedMs: number;
  /** The latest attempt; null if there was none. */
  readonly record: RecordedAttempt | null;
}

/** What became of a line. */
export type LineFate = 'written' | 'buffer-full' | 'write-failed';

export interface TrafficRecorderOptions {
  readonly hasher: BlockHasher;
  readonly bufferBytesMax: number;
  readonly log: Logger;
  onLines(fate: LineFate, count: number): void;
}

/** Block size if no setting gives one. */
const blockTokensDefault = 16;
/** How long shutdown waits for a disk that does not respond. */
const flushMsMax = 5000;

/** @returns null if recording is off @throws ConfigError `record` if the file can't be used */
export async function openTrafficRecorder(
  { record, recordBufferBytesMax, blockSize }: GatewayConfig,
  options: Omit<TrafficRecorderOptions, 'bufferBytesMax'>,
): Promise<TrafficRecorder | null> {
  if (record === null) return null;
  const blockTokens = blockSize === 'auto' ? blockTokensDefault : blockSize;
  const lines = new RequestRecorder(blockTokens);
  const file = await openRecordingFile(record, lines.header(Date.now()));
  return new TrafficRecorder(file, lines, performance.now(), { ...options, bufferBytesMax: recordBufferBytesMax });
}

export class TrafficRecorder {
  readonly #file: LineFile;
  readonly #lines: RequestRecorder;
  /** Arrival 0, on the clock of `RecordedExchange.startedMs`. */
  readonly startMs: number;
  readonly #options: TrafficRecorderOptions;
  #waiting: Buffer[] = [];
  /** Bytes of lines that wait or are being written. */
  #bufferedBytes = 0;
  #writing = false;
  /** Settles when everything buffered so far is written or lost. */
  #written: Promise<void> = Promise.resolve();
  #hasOverflowed = false;
  #isFailing = false;
  #closed = false;

  /** @param startMs arrival 0, on the clock of `RecordedExchange.startedMs` */
  constructor(file: LineFile, lines: RequestRecorder, startMs: number, options: TrafficRecorderOptions) {
    this.#file = file;
    this.#lines = lines;
    this.startMs = startMs;
    this.#options = options;
  }

  /** To be called once per request, after its end. Never throws and never waits. */
  record(exchange: RecordedExchange, intake: RecordedIntake): void {
    if (this.#closed) return;
    try {
      for (const request of this.#finished(exchange, intake)) this.#buffer(this.#lines.line(request));
    } catch (error) {
      // A fault of the recorder must not reach the client.
      this.#options.log.error({ err: error }, 'request not recorded');
    }
  }

  /** Writes what is buffered. Nothing is recorded afterwards. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const { log } = this.#options;
    if (!(await settlesWithin(this.#written, flushMsMax))) {
      log.error({ bufferedBytes: this.#bufferedBytes }, 'the disk does not respond: the end of the recording is lost');
      return;
    }
    await this.#file.close().catch((error: unknown) => {
      log.error({ err: error }, 'closing the recording failed');
    });
  }

  /** One per sequence of each prompt. */
  *#finished({ startedMs, record }: RecordedExchange, intake: RecordedIntake): Generator<FinishedRequest> {
    const { pool, lora, request, contents } = intake;
    // Prompts of different models never share a block.
    const namespace = { lora, salt: JSON.stringify([pool.name, request.cacheSalt]) };
    // The text so far is part of the prompt of an engine that goes on with it.
    const continued = record?.continuedTokens ?? 0;
    const counted = (record?.usage?.promptTokens ?? 0) - continued;
    const guess = { ...pool.lengthGuess, bytesPerToken: bytesPerTokenOf(intake, counted) };
    const prompts = hashContents(contents, this.#options.hasher, [this.#lines.blockTokens], guess, namespace);
    const choices = prompts.length * request.sequences;
    const outputTokens = (record?.outputTokens ?? 0) + continued;
    const arrivalMs = Math.max(0, startedMs - this.startMs);
    const cancelled = record?.outcome !== 'done';
    for (let choice = 0; choice < choices; choice++) {
      const { isl: guessed, hashes } = prompts[Math.floor(choice / request.sequences)]!;
      // Only the engine can count parts that are not text.
      const told = contents.length === 1 && contents[0]!.kind === 'beginning' && counted > 0;
      const isl = told ? counted : guessed;
      // Engines report only the total; it is split evenly.
      const osl = Math.floor((outputTokens + choice) / choices);
      yield { arrivalMs, isl: Math.max(1, isl), osl, hashes: hashes[0]!, cancelled };
    }
  }

  #buffer(line: string): void {
    const bytes = Buffer.from(`${line}\n`);
    const { bufferBytesMax, onLines, log } = this.#options;
    if (this.#bufferedBytes + bytes.length > bufferBytesMax) {
      onLines('buffer-full', 1);
      if (!this.#hasOverflowed) {
        log.error(
          { bufferBytesMax },
          'the disk is too slow for the recording: lines are lost (logged once; the metric counts them all)',
        );
      }
      this.#hasOverflowed = true;
      return;
    }
    this.#bufferedBytes += bytes.length;
    this.#waiting.push(bytes);
    if (!this.#writing) this.#written = this.#write();
  }

  async #write(): Promise<void> {
    this.#writing = true;
    while (this.#waiting.length > 0) {
      const count = this.#waiting.length;
      const bytes = Buffer.concat(this.#waiting);
      this.#waiting = [];
      await this.#append(bytes, count);
      this.#bufferedBytes -= bytes.length;
    }
    this.#writing = false;
  }

  async #append(bytes: Buffer, count: number): Promise<void> {
    const { log, onLines } = this.#options;
    try {
      await this.#file.append(bytes);
    } catch (error) {
      onLines('write-failed', count);
      if (!this.#isFailing) log.error({ err: error }, 'writing to the recording failed: lines are lost');
      this.#isFailing = true;
      return;
    }
    onLines('written', count);
    if (this.#isFailing) log.warn('writing to the recording works again');
    this.#isFailing = false;
  }
}

/**
 * Bytes per token of a prompt without tokens: from the engine's count if it gave one, else the pool's estimate.
 * @param promptTokens not above 0: it gave none
 */
function bytesPerTokenOf({ contents, pool }: RecordedIntake, promptTokens: number): number {
  const bytes = promptBytes(contents);
  return bytes === null || bytes === 0 || promptTokens <= 0 ? pool.lengthGuess.bytesPerToken : bytes / promptTokens;
}

async function settlesWithin(promise: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

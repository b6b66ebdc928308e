// Reads bodies of the selection service: small ones at once, larger ones in parts, very large ones by a thread.

import type { Logger } from 'pino';
import { builtEntry } from '../../tokens/built-entry.ts';
import type { BodyLease } from '../exchange/body-budget.ts';
import { makeRoomForJson, makeRoomInTurns } from '../exchange/json-weight.ts';
import type { TurnSlices } from '../exchange/turn-slices.ts';
import { type BodySender, logDeath, ReadingThread } from '../inference/reading-thread.ts';
import { inlineBytesMax, type RequestFields, readHereBytesMax } from '../inference/request-fields.ts';
import { type Asked, AskedHere } from './asked.ts';
import { batchOf } from './asked-batch.ts';
import { AskedThere, type SelectionReading, type SelectionTask } from './crossing.ts';
import { bodyFields } from './read-fields.ts';

const threadEntry: URL = builtEntry(import.meta.url, 'reading-thread-entry');

export class BodyReader {
  readonly #slices: TurnSlices;
  readonly #thread: ReadingThread<SelectionTask, SelectionReading>;

  constructor(slices: TurnSlices, log: Pick<Logger, 'error'>) {
    this.#slices = slices;
    this.#thread = new ReadingThread({ ...logDeath(log), entry: threadEntry });
  }

  /**
   * @param lease grows by what the body's values take; null if the request is not counted
   * @returns a promise only for a large body, of null if its sender is gone
   * @throws RequestError 400, 413 or 503, directly or as a rejection
   */
  operation(body: Buffer, lease: BodyLease | null, sender: BodySender): Asked | Promise<Asked | null> {
    if (body.length > readHereBytesMax) {
      return this.#there({ kind: 'operation' }, body, lease, sender).then((reading) =>
        reading === null ? null : new AskedThere(reading.asked),
      );
    }
    const fields = this.#here(body, lease);
    return fields instanceof Promise ? fields.then((read) => new AskedHere(read)) : new AskedHere(fields);
  }

  /** As `operation`, for the operations of a batch. */
  async batch(body: Buffer, lease: BodyLease | null, sender: BodySender): Promise<(Asked | null)[] | null> {
    if (body.length <= readHereBytesMax) return batchOf(await this.#here(body, lease));
    const reading = await this.#there({ kind: 'batch' }, body, lease, sender);
    return reading === null ? null : reading.batch.map((asked) => (asked === null ? null : new AskedThere(asked)));
  }

  close(): Promise<void> {
    return this.#thread.close();
  }

  #here(body: Buffer, lease: BodyLease | null): RequestFields | Promise<RequestFields> {
    makeRoomForJson(body, lease);
    const fields = bodyFields(body);
    if (body.length > inlineBytesMax) return fields.readInTurns(this.#turn).then(() => fields);
    fields.read(Number.POSITIVE_INFINITY);
    return fields;
  }

  async #there<Task extends SelectionTask>(
    task: Task,
    body: Buffer,
    lease: BodyLease | null,
    sender: BodySender,
  ): Promise<Extract<SelectionReading, { kind: Task['kind'] }> | null> {
    await makeRoomInTurns(body, lease, this.#turn);
    return this.#thread.read(task, body, sender);
  }

  readonly #turn = async (): Promise<void> => this.#slices.take() ?? undefined;
}

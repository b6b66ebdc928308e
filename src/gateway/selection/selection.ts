// The operations of the selection service: choices without a booking, and reservations with one.

import { randomUUID } from 'node:crypto';
import type { Decision, Outcome } from '../../core/index.ts';
import { ownCopy } from '../../tokens/own-copy.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { Engine } from '../engines/engine.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import { applicantOf, type Placeable } from '../inference/admission-applicant.ts';
import { invalid } from '../inference/request-fields.ts';
import { chosen, named, reservationAnswer, reservedAnswer, whereIs } from './answers.ts';
import type { Asked } from './asked.ts';
import { BodyReader } from './body-reader.ts';
import type { Caller } from './caller.ts';
import { callerGone, deletedFirst, ended, noWorker } from './errors.ts';
import { makeReservation, type Wanted } from './make-reservation.ts';
import { excludedOf, placeable, plainChoice } from './placeable.ts';
import { type PlacedPrompt, readPrompt } from './prompts.ts';
import { checked, checkedValue } from './read-fields.ts';
import type { Reservation } from './reservation.ts';
import { ReservationMemory, reservationsBytesMax } from './reservation-memory.ts';
import { type EndKind, type Entry, earlyDeletesMax, ReservationTable } from './reservation-table.ts';
import type { SelectionContext } from './selection-context.ts';
import * as shapes from './shapes.ts';
import { WaitingReservation } from './waiting-reservation.ts';

/** Reservations ended in one turn of the event loop, when many end at once. */
const endedPerTurnMax = 256;
/** Time until a caller may find room again: a guess. */
const retryAfterS = 1;

type EntryOf = Entry<Reservation>;

/** A reservation that has its id. */
interface BegunReserve {
  readonly entry: EntryOf;
  readonly waiting: WaitingReservation;
  readonly leaseMs: number;
  readonly terms: boolean;
  readonly reading: Promise<ReadReserve>;
}

interface ReadReserve extends Omit<Wanted, 'hold'> {
  readonly keptBytes: number;
}

export class Selection {
  readonly bodies: BodyReader;
  readonly #context: SelectionContext;
  readonly #table = new ReservationTable<Reservation>();
  readonly #memory: ReservationMemory;
  /** Those that are being made, by the table's key. */
  readonly #waiting = new Map<string, WaitingReservation>();
  readonly #timer: NodeJS.Timeout;

  constructor(context: SelectionContext) {
    this.bodies = new BodyReader(context.intakeSlices, context.log);
    this.#context = context;
    this.#memory = new ReservationMemory(() => reservationsBytesMax(context.config));
    context.metrics.selection.figures = () => {
      const { live, waiting } = this.#table;
      return { live, waiting, bytes: this.#memory.heldBytes };
    };
    context.pools.onLeft((engine) => this.#left(engine));
    this.#timer = setInterval(() => this.#leak(), 1000);
    this.#timer.unref();
  }

  /** Ends every reservation: the gateway stops. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const waiting of this.#waiting.values()) waiting.cancel('caller-gone');
    for (const entry of [...this.#table.all()]) this.#end(entry, 'connection-closed', 'aborted');
    await this.bodies.close();
  }

  async select(caller: Caller, asked: Asked): Promise<object> {
    const body = checked(shapes.selectBody, asked);
    const prompt = await this.#read(caller, body, asked);
    const decision = this.#choose(placeable(prompt, body, 0), excludedOf(prompt, body.excluded));
    const { pool } = prompt;
    const candidates = decision.candidates().map((candidate) => named(candidate, pool.workerIds));
    return { ...chosen(pool.worker(decision.worker), prompt.model, decision), candidates };
  }

  /** @param onRead called when the prompt has been read, with the bytes that are kept of it while it waits */
  async reserve(caller: Caller, asked: Asked, onRead: (keptBytes: number) => void): Promise<object> {
    const { entry, waiting, leaseMs, terms, reading } = this.#beginReserve(caller, asked);
    try {
      const { keptBytes, ...wanted } = await reading;
      onRead(keptBytes);
      const made = await makeReservation(this.#context, this.#memory, waiting, {
        ...wanted,
        hold: (reservation) => this.#table.hold(entry, reservation, leaseMs, performance.now()),
      });
      return reservedAnswer(made, leaseMs, terms);
    } finally {
      this.#table.drop(entry);
      this.#waiting.delete(entry.key);
      caller.waiting.delete(waiting);
      waiting.end();
    }
  }

  /** A function of its own: its caller, which waits for a worker, must not keep the body. @throws RequestError */
  #beginReserve(caller: Caller, asked: Asked): BegunReserve {
    const body = checked(shapes.reserveBody, asked);
    const { config } = this.#context;
    // An operation may be read after its connection has closed.
    if (caller.gone) throw callerGone();
    const id = body.id === undefined ? randomUUID() : ownCopy(body.id);
    const leaseMs = leaseOf(body.leaseS, caller.holder !== null, config);
    const nowMs = performance.now();
    const use = this.#context.keyLimits.tokensOf(caller.key, config, nowMs);
    const entry = this.#begin(caller, id, nowMs);
    const waiting = new WaitingReservation(id, use, nowMs);
    this.#waiting.set(entry.key, waiting);
    caller.waiting.add(waiting);
    const { terms } = body;
    return { entry, waiting, leaseMs, terms, reading: this.#wanted(caller, body, asked, waiting) };
  }

  async #wanted(
    caller: Caller,
    body: shapes.ReserveBody,
    asked: Asked,
    waiting: WaitingReservation,
  ): Promise<ReadReserve> {
    const prompt = await this.#read(caller, body, asked, waiting);
    return {
      intake: { choices: body.n, learn: learnNothing, ...placeable(prompt, body, body.priority) },
      excluded: excludedOf(prompt, body.excluded),
      isl: prompt.isl,
      key: this.#ownerOf(caller),
      waitMs: body.waitMs,
      keptBytes: prompt.keptBytes,
    };
  }

  /** Whose part of the limits a reservation takes; null: it may take everything. */
  #ownerOf({ key }: Caller): string | null {
    return this.#context.access.isSoleSelector ? null : (key?.name ?? null);
  }

  async firstToken(caller: Caller, id: string): Promise<object> {
    const { entry, held } = await this.#live(caller, id);
    const nowMs = performance.now();
    this.#table.touch(entry, nowMs);
    held.firstToken(nowMs);
    return reservationAnswer(entry, held);
  }

  async output(caller: Caller, id: string, asked: Asked): Promise<object> {
    const { tokens, choice } = checked(shapes.outputBody, asked);
    const { entry, held } = await this.#live(caller, id);
    if (choice >= held.outputTokens.length) {
      throw invalid('choice', `choice must be below n, which is ${held.outputTokens.length}`);
    }
    const nowMs = performance.now();
    this.#table.touch(entry, nowMs);
    held.output(choice, tokens, nowMs);
    return reservationAnswer(entry, held);
  }

  /** Does not begin the lease again: whoever only looks need not be its owner. */
  async show(caller: Caller, id: string): Promise<object> {
    const { entry, held } = await this.#live(caller, id);
    return reservationAnswer(entry, held);
  }

  /** Idempotent. Does not wait: what is being made is cancelled. */
  delete(caller: Caller, id: string, given: unknown): object {
    const { outcome, promptTokens, cachedTokens, outputTokens } = checkedValue(shapes.deleteBody, given);
    checkedValue(shapes.reservationId, id);
    if (promptTokens === undefined && (cachedTokens ?? outputTokens) !== undefined) {
      throw invalid('promptTokens', 'cachedTokens and outputTokens need promptTokens: they are the usage together');
    }
    if (cachedTokens !== undefined && cachedTokens > promptTokens!) {
      throw invalid('cachedTokens', 'cachedTokens must be at most promptTokens');
    }
    const nowMs = performance.now();
    const found = this.#table.find(keyOf(caller, id), nowMs);
    switch (found.kind) {
      case 'live':
        this.#end(found.entry, 'released', outcome, {
          usage:
            promptTokens === undefined
              ? null
              : {
                  promptTokens,
                  cachedTokens: cachedTokens ?? null,
                  completionTokens: outputTokens ?? found.held.outputTokensSum,
                },
        });
        return { id, deleted: 'now' };
      case 'waiting':
        this.#waiting.get(found.entry.key)?.cancel('deleted');
        return { id, deleted: 'now' };
      case 'ended':
        return { id, deleted: 'before' };
      case 'unknown':
        if (!this.#table.deleteEarly(keyOf(caller, ownCopy(id)), nowMs)) this.#limited('earlyDeletesMax');
        return { id, deleted: 'early' };
    }
  }

  async overlap(caller: Caller, asked: Asked): Promise<object> {
    const body = checked(shapes.promptBody, asked);
    const prompt = await this.#read(caller, body, asked);
    const { pool, model, isl } = prompt;
    const { router } = pool;
    const request = applicantOf(placeable(prompt, plainChoice, 0), new Set()).request();
    const decision = router.choose(request, performance.now());
    const found = new Map('kind' in decision ? [] : decision.candidates().map((one) => [one.worker, one]));
    const excluded = pool.excludedFor(model);
    const workers = [...pool.workers]
      .filter(({ membership }) => !excluded.has(membership!.index))
      .map((worker) => {
        const { index } = worker.membership!;
        const { blockSize, routable } = router.load(index);
        const hashes = request.prompts[0]!.hashes.find((one) => one.blockSize === blockSize)!;
        const announcedBlocks = router.announcedBlocks(index, hashes);
        const candidate = found.get(index);
        const overlapBlocks = candidate?.overlapBlocks ?? announcedBlocks;
        return {
          ...whereIs(worker),
          ...{ routable, blockSize, blocks: hashes.count, announcedBlocks, overlapBlocks },
          overlapTokens: candidate?.overlapTokens ?? Math.floor(overlapBlocks * hashes.blockTokens),
          promisedBlocks: candidate?.promisedBlocks ?? 0,
        };
      });
    return { model, isl, workers };
  }

  async potentialLoads(caller: Caller, asked: Asked): Promise<object> {
    const body = checked(shapes.selectBody, asked);
    const prompt = await this.#read(caller, body, asked);
    const decision = this.#choose(placeable(prompt, body, 0), excludedOf(prompt, body.excluded));
    const workers = decision.candidates().map((one) => ({
      ...whereIs(prompt.pool.worker(one.worker)),
      activeBlocks: one.activeBlocks,
      activePrefillTokens: one.activePrefillTokens,
      runningRequests: one.runningRequests,
      potentialBlocks: one.activeBlocks + one.newBlocks,
      potentialPrefillTokens: one.activePrefillTokens + one.uncachedTokens,
      kvUsage: one.kvUsage,
    }));
    return { model: prompt.model, isl: prompt.isl, workers };
  }

  /** The caller is gone: cancels what it waits for, and ends what it holds, some in each turn of the event loop. */
  release(caller: Caller): void {
    caller.gone = true;
    for (const waiting of [...caller.waiting]) waiting.cancel('caller-gone');
    const { holder } = caller;
    if (holder === null) return;
    const endSome = (): void => {
      let count = 0;
      for (const entry of holder.entries) {
        if (entry.state !== 'live') continue;
        this.#end(entry, 'connection-closed', 'aborted');
        if (++count === endedPerTurnMax) {
          setImmediate(endSome);
          return;
        }
      }
    };
    endSome();
  }

  #read(
    caller: Caller,
    body: shapes.PromptBody,
    asked: Asked,
    waiting: WaitingReservation | null = null,
  ): Promise<PlacedPrompt> {
    return readPrompt(this.#context, caller.key, body, asked, caller.requestId, (end) => waiting?.whenGone(end));
  }

  #choose(intake: Placeable, excluded: ReadonlySet<number>): Decision {
    const { router } = intake.pool;
    const decision = router.choose(applicantOf(intake, excluded).request(), performance.now());
    if ('kind' in decision) throw noWorker(intake, excluded);
    return decision;
  }

  /** @throws RequestError 409, 410, 429 */
  #begin(caller: Caller, id: string, nowMs: number): EntryOf {
    const { config } = this.#context;
    const begun = this.#table.begin(keyOf(caller, id), this.#ownerOf(caller), caller.holder, config, nowMs);
    switch (begun.kind) {
      case 'begun':
        return begun.entry;
      case 'in-use':
        throw new RequestError(409, 'reservation_exists', `there is a reservation ${JSON.stringify(id)}`, 'id');
      case 'deleted':
        throw deletedFirst(id);
      case 'full': {
        const of = caller.key === null ? '' : ` of the key ${caller.key.name}`;
        const message = `there are ${begun.count} reservations${of} (${begun.limit}): delete some`;
        throw new LimitReached(begun.limit, 429, 'too_many_reservations', message, retryAfterS);
      }
    }
  }

  /** @throws RequestError 404, 410 */
  async #live(caller: Caller, id: string): Promise<{ readonly entry: EntryOf; readonly held: Reservation }> {
    const key = keyOf(caller, id);
    // A call may overtake the answer to its reservation.
    await this.#waiting.get(key)?.settled;
    const nowMs = performance.now();
    const found = this.#table.find(key, nowMs);
    if (found.kind === 'live') {
      const how = this.#overWith(found.entry, found.held, nowMs);
      if (how === null) return found;
      this.#end(found.entry, how, 'aborted');
      throw ended(id, how);
    }
    if (found.kind === 'ended') throw ended(id, found.how);
    throw new RequestError(404, 'reservation_not_found', `there is no reservation ${JSON.stringify(id)}`, 'id');
  }

  /** How a live reservation has ended already, though it is not removed yet; null: it has not. */
  #overWith(entry: EntryOf, held: Reservation, nowMs: number): EndKind | null {
    if (held.workerRemoved) return 'worker-removed';
    return this.#table.isDue(entry, nowMs) ? 'leaked' : null;
  }

  #end(
    entry: EntryOf,
    how: EndKind,
    outcome: Outcome,
    { usage }: { readonly usage: Parameters<Reservation['end']>[2] } = { usage: null },
  ): void {
    const held = this.#table.end(entry, how, performance.now());
    if (held === null) return;
    this.#context.metrics.selection.ended.inc({ end: how === 'released' ? outcome : how });
    try {
      held.end(how, outcome, usage);
    } catch (error) {
      this.#context.log.error({ requestId: held.id, err: error }, 'reservation ended by a fault of the gateway');
    }
  }

  /** Ends the leases that are over. */
  #leak(): void {
    const overdue = this.#table.due(performance.now(), endedPerTurnMax);
    for (const entry of overdue) this.#end(entry, 'leaked', 'aborted');
    if (overdue.length > 0) setImmediate(() => this.#leak());
  }

  /** The router has ended the bookings already; the reservations end some in each turn of the event loop. */
  #left(engine: Engine): void {
    const ofEngine = [...this.#table.all()].filter(({ held }) => held?.placed.worker.engine === engine);
    for (const { held } of ofEngine) held!.workerRemoved = true;
    const endSome = (): void => {
      for (const entry of ofEngine.splice(-endedPerTurnMax)) this.#end(entry, 'worker-removed', 'aborted');
      if (ofEngine.length > 0) setImmediate(endSome);
    };
    endSome();
  }

  #limited(limit: string): void {
    this.#context.metrics.limited.inc({ limit });
    this.#context.log.debug({ limit, earlyDeletesMax }, 'an early deletion is forgotten');
  }
}

function learnNothing(): void {}

/** Ids belong to the key that made them: other callers can neither see nor end them. */
function keyOf({ key }: Caller, id: string): string {
  return `${key?.name ?? ''} ${id}`;
}

/** @throws RequestError 400 */
function leaseOf(
  leaseS: number | undefined,
  isHeld: boolean,
  { reservationMs, reservationMsMax }: { readonly reservationMs: number; readonly reservationMsMax: number },
): number {
  if (leaseS === undefined) return isHeld ? reservationMsMax : Math.min(reservationMs, reservationMsMax);
  if (leaseS * 1000 <= reservationMsMax) return leaseS * 1000;
  throw invalid('leaseS', `leaseS must be at most ${reservationMsMax / 1000} (reservationMsMax)`);
}

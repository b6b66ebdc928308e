// One connection of many operations: a line of JSON each way for each. What it reserves ends with it.
//
// The request's body brings the operations, and the answer's body their answers, both as NDJSON and at the same time.
// Operations are started in the order of their lines; answers come as they are ready, each with the tag of its line.

import type { BodyBudget, BodyLease } from '../exchange/body-budget.ts';
import { drained } from '../exchange/drained.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import type { BodySender } from '../inference/reading-thread.ts';
import { invalid } from '../inference/request-fields.ts';
import { type Asked, AskedUntilRead } from './asked.ts';
import type { BodyReader } from './body-reader.ts';
import type { Caller } from './caller.ts';
import { answered, type OperationAnswer, operate } from './operations.ts';
import type { Selection } from './selection.ts';
import type { SelectionContext } from './selection-context.ts';

/**
 * Operations of one connection that are not answered yet; more are refused. The connection is read on, since the next
 * line may delete what the others wait for.
 */
export const openOperationsMax = 256;
/** How often a silent peer is asked whether it is still there. */
const keepAliveMs = 15_000;
const tagCharsMax = 64;
/** Time for a client to read the end of its answers while it still sends. */
const lingerMsMax = 1000;
/** A line may have this many chunks, plus one for every `pieceBytesMin` bytes: each costs time, however small. */
const freePieces = 1024;
const pieceBytesMin = 64;
/** Answers of one connection that its client has not read; then it is closed. */
const unreadAnswersBytesMax = 8 * 1024 * 1024;
const newline = 0x0a;

type Tag = string | number | null;

/**
 * Serves the connection until either side closes it.
 * @throws RequestError before anything is answered
 */
export async function serveLines(
  context: SelectionContext,
  selection: Selection,
  exchange: Exchange,
  caller: Caller,
): Promise<void> {
  const { request, response } = exchange;
  request.socket.setKeepAlive(true, keepAliveMs);
  response.writeHead(200, { 'content-type': 'application/x-ndjson', 'x-request-id': exchange.id });
  // At once, so that the client knows that it may go on.
  response.flushHeaders();
  const open = new Set<Promise<void>>();
  try {
    for await (const line of linesOf(context, exchange)) {
      if (exchange.gone) break;
      if (line instanceof LimitReached) {
        context.metrics.limited.inc({ limit: line.limit });
        write(context, exchange, null, { status: line.status, body: line.body(), error: line });
        // Where the next line begins is unknown.
        break;
      }
      const isOne = open.size < openOperationsMax;
      const asked = new AskedLine(context, selection.bodies, line);
      const running = operateLine(context, selection, exchange, caller, asked, isOne).finally(() =>
        open.delete(running),
      );
      open.add(running);
      // A client that does not read its answers is not read either.
      if (response.writableNeedDrain) await drained(response);
    }
    if (!exchange.gone) await Promise.all(open);
  } finally {
    selection.release(caller);
    response.end();
    // The client may still be sending. Closing at once could lose the end of its answers.
    if (!request.complete) setTimeout(() => request.socket.destroy(), lingerMsMax).unref();
  }
}

/** The lines of a request's body; an error in place of a line that is too long, which is then the last one. */
async function* linesOf(
  { config, intakeSlices, bodyBudget }: SelectionContext,
  { request }: Exchange,
): AsyncGenerator<Buffer | LimitReached> {
  const begun = new BegunLine(config.bodyBytesMax, bodyBudget);
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      let from = 0;
      for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, from)) {
        begun.add(chunk.subarray(from, end));
        from = end + 1;
        const line = begun.end();
        if (isBlank(line)) continue;
        // Many small lines may come in one chunk.
        const turn = intakeSlices.take();
        if (turn !== null) await turn;
        yield line;
      }
      if (from < chunk.length) begun.add(chunk.subarray(from));
    }
    const last = begun.end();
    if (!isBlank(last)) yield last;
  } catch (error) {
    if (error instanceof LimitReached) yield error;
    // Otherwise the client went away; what it had begun to write is dropped.
  } finally {
    begun.drop();
  }
}

/** A line of which the end has not come yet. */
class BegunLine {
  readonly #bytesMax: number;
  readonly #budget: BodyBudget;
  /** Null while the line is within one chunk. */
  #lease: BodyLease | null = null;
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(bytesMax: number, budget: BodyBudget) {
    this.#bytesMax = bytesMax;
    this.#budget = budget;
  }

  /** @throws LimitReached */
  add(piece: Buffer): void {
    this.#bytes += piece.length;
    if (this.#bytes > this.#bytesMax) {
      const message = `a line exceeds the limit of ${this.#bytesMax} bytes`;
      throw new LimitReached('bodyBytesMax', 413, 'line_too_large', message);
    }
    if (this.#pieces.length > freePieces + this.#bytes / pieceBytesMin) {
      throw new LimitReached('bodyPiecesMax', 400, 'body_in_pieces', 'a line arrives in too many chunks');
    }
    if (this.#pieces.length > 0) {
      this.#lease ??= this.#budget.lease();
      this.#lease.growTo(this.#bytes);
    }
    this.#pieces.push(piece);
  }

  /** @returns the line; the next one begins */
  end(): Buffer {
    const line = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
    this.drop();
    return line;
  }

  drop(): void {
    this.#pieces = [];
    this.#bytes = 0;
    this.#lease?.release();
    this.#lease = null;
  }
}

function isBlank(line: Buffer): boolean {
  return line.length === 0 || (line.length < 3 && line.toString('latin1').trim() === '');
}

/** @param isOne false: too many are open */
async function operateLine(
  context: SelectionContext,
  selection: Selection,
  exchange: Exchange,
  caller: Caller,
  asked: AskedLine,
  isOne: boolean,
): Promise<void> {
  let tag: Tag = null;
  let answer: OperationAnswer;
  try {
    const reading = asked.read();
    const operation = reading instanceof Promise ? await reading : reading;
    tag = tagOf(operation);
    if (!isOne) throw tooManyOpen();
    answer = await operate(context, selection, caller, operation);
  } catch (error) {
    answer = await answered(context, caller, 'unknown', () => {
      throw error;
    });
  } finally {
    asked.release();
  }
  write(context, exchange, tag, answer);
}

/** A line, what it asks, and its memory, until it has been read. */
class AskedLine {
  readonly #bodies: BodyReader;
  readonly #memory: BodyLease;
  #line: Buffer | null;

  constructor({ bodyBudget }: SelectionContext, bodies: BodyReader, line: Buffer) {
    this.#bodies = bodies;
    this.#memory = bodyBudget.lease();
    this.#line = line;
  }

  /** To be called once. @throws RequestError, directly or as a rejection */
  read(): AskedUntilRead | Promise<AskedUntilRead> {
    const line = this.#line!;
    this.#line = null;
    this.#memory.growTo(line.length);
    const reading = this.#bodies.operation(line, this.#memory, stays);
    const untilRead = (asked: Asked | null): AskedUntilRead =>
      new AskedUntilRead(asked!, (kept) => this.#memory.shrinkTo(kept));
    return reading instanceof Promise ? reading.then(untilRead) : untilRead(reading);
  }

  release(): void {
    this.#memory.release();
  }
}

/** A line is read to its end although its connection may have closed: what it would reserve is refused then. */
const stays: BodySender = { gone: false, whenGone: () => undefined };

function tagOf(asked: Asked): Tag {
  const tag = asked.value('tag');
  if (tag === undefined) return null;
  if (typeof tag === 'string' && tag.length <= tagCharsMax) return tag;
  if (typeof tag === 'number' && Number.isInteger(tag)) return tag;
  throw invalid('tag', `tag must be an integer, or a text of at most ${tagCharsMax} characters`);
}

function tooManyOpen(): LimitReached {
  const message = `the connection has ${openOperationsMax} operations that are not answered yet (openOperationsMax)`;
  return new LimitReached('openOperationsMax', 429, 'too_many_open', message);
}

function write({ metrics }: SelectionContext, exchange: Exchange, tag: Tag, { status, body }: OperationAnswer): void {
  const { response, gone } = exchange;
  if (gone || response.writableEnded) return;
  const text = `${JSON.stringify({ ...(tag !== null && { tag }), status, body })}\n`;
  if (response.writableLength + text.length <= unreadAnswersBytesMax) {
    response.write(text);
    return;
  }
  metrics.limited.inc({ limit: 'unreadAnswersBytesMax' });
  exchange.abandon('unreadAnswersBytesMax');
  response.destroy();
}

// One operation by its name: alone, in a batch, or as a line of a connection. Its answer is a status and a body.

import type { RequestError } from '../../wire/openai-error.ts';
import { asRequestError } from '../exchange/http-reply.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import { invalid } from '../inference/request-fields.ts';
import { Asked, AskedUntilRead } from './asked.ts';
import type { Caller } from './caller.ts';
import type { Given } from './given-prompt.ts';
import { plainFields, reservationIdOf } from './read-fields.ts';
import type { Selection } from './selection.ts';
import type { SelectionContext } from './selection-context.ts';
import { deleteBody } from './shapes.ts';

export const operationNames = [
  'select',
  'reserve',
  'first-token',
  'output',
  'delete',
  'show',
  'overlap',
  'potential-loads',
] as const;
export type OperationName = (typeof operationNames)[number];

export interface OperationAnswer {
  readonly status: number;
  readonly body: object;
  /** Null: it succeeded. */
  readonly error: RequestError | null;
}

/** Runs a piece of work as one operation. Counts it. Never rejects. */
export async function answered(
  { metrics, log }: SelectionContext,
  caller: Caller,
  operation: OperationName | 'unknown',
  work: () => object | Promise<object>,
): Promise<OperationAnswer> {
  let answer: OperationAnswer;
  try {
    answer = { status: 200, body: await work(), error: null };
  } catch (cause) {
    const error = asRequestError(cause);
    if (error !== cause)
      log.error({ requestId: caller.requestId, err: cause }, 'operation failed by a fault of the gateway');
    if (error instanceof LimitReached) metrics.limited.inc({ limit: error.limit });
    answer = { status: error.status, body: error.body(), error };
  }
  metrics.selection.operations.inc({ operation, status: String(answer.status) });
  return answer;
}

/** Fields that name the operation, and are none of its own. */
const naming: readonly string[] = ['op', 'tag'];
const namingWithId: readonly string[] = [...naming, 'id'];

/** Runs the operation that an object names in `op`. Never rejects. */
export function operate(
  context: SelectionContext,
  selection: Selection,
  caller: Caller,
  asked: AskedUntilRead,
): Promise<OperationAnswer> {
  const op = asked.text('op');
  const name = operationNames.find((one) => one === op);
  return answered(context, caller, name ?? 'unknown', () => {
    switch (name) {
      case 'select':
        return selection.select(caller, new Without(asked, naming));
      case 'reserve':
        return selection.reserve(caller, new Without(asked, naming), (keptBytes) => asked.read(keptBytes));
      case 'overlap':
        return selection.overlap(caller, new Without(asked, naming));
      case 'potential-loads':
        return selection.potentialLoads(caller, new Without(asked, naming));
      case 'output':
        return selection.output(caller, reservationIdOf(asked), new Without(asked, namingWithId));
      case 'first-token':
        none(asked);
        return selection.firstToken(caller, reservationIdOf(asked));
      case 'show':
        none(asked);
        return selection.show(caller, reservationIdOf(asked));
      case 'delete':
        return selection.delete(
          caller,
          reservationIdOf(asked),
          plainFields(deleteBody, new Without(asked, namingWithId)),
        );
      case undefined:
        throw invalid('op', `op must be one of ${operationNames.join(', ')}`);
    }
  });
}

/** Bytes of a batch's answers after which no further operation of it is begun. */
const batchAnswersBytesMax = 16 * 1024 * 1024;

/**
 * Runs the operations of a batch. They begin in their order, those of one reservation each after the one before has
 * ended. @param batch null stands for what is no object; emptied as they begin
 * @param onRead called once all have been read, with the bytes that are kept of them
 * @returns the JSON texts of their answers in the same order
 */
export async function operateAll(
  context: SelectionContext,
  selection: Selection,
  caller: Caller,
  batch: (Asked | null)[],
  onRead: (keptBytes: number) => void,
): Promise<readonly string[]> {
  let bytes = 0;
  // Each as soon as it is there: a hundred long answers would block the event loop together.
  const asText = async (running: Promise<OperationAnswer>): Promise<string> => {
    const { status, body } = await running;
    const text = JSON.stringify({ status, body });
    bytes += text.length;
    return text;
  };
  const started: Promise<string>[] = [];
  let unread = batch.length;
  let keptBytes = 0;
  const read = (kept: number): void => {
    keptBytes += kept;
    unread -= 1;
    if (unread === 0) onRead(keptBytes);
  };
  const begin = (at: number, asked: Asked | null): Promise<OperationAnswer> => {
    if (asked !== null && bytes <= batchAnswersBytesMax) {
      const own = new AskedUntilRead(asked, read);
      return operate(context, selection, caller, own).finally(() => own.read(0));
    }
    read(0);
    return refused(asked !== null ? tooLong() : invalid(`operations[${at}]`, `operations[${at}] must be an object`));
  };
  const refused = (error: RequestError): Promise<OperationAnswer> =>
    answered(context, caller, 'unknown', () => Promise.reject(error));
  const lastOf = new Map<string, Promise<string>>();
  /** A function of its own: what it has begun must not be kept here. */
  const beginNext = (at: number): void => {
    const asked = batch[at]!;
    batch[at] = null;
    const id = asked?.text('id') ?? null;
    // A deletion would cancel a reservation of this batch that is being made.
    const before = id === null ? undefined : lastOf.get(id);
    const run = (): Promise<string> => asText(begin(at, asked));
    const running = before === undefined ? run() : before.then(run);
    started.push(running);
    if (id !== null) lastOf.set(id, running);
  };
  for (let at = 0; at < batch.length; at++) {
    const turn = context.intakeSlices.take();
    if (turn !== null) await turn;
    beginNext(at);
  }
  return Promise.all(started);
}

function tooLong(): LimitReached {
  const message = 'the answers before this one are too long: it was not run (batchAnswersBytesMax)';
  return new LimitReached('batchAnswersBytesMax', 413, 'answers_too_large', message);
}

/** What is asked, without some fields. */
class Without extends Asked {
  readonly #asked: Asked;
  readonly #without: readonly string[];

  constructor(asked: Asked, without: readonly string[]) {
    super();
    this.#asked = asked;
    this.#without = without;
  }

  *names(): Iterable<string> {
    for (const name of this.#asked.names()) if (!this.#without.includes(name)) yield name;
  }

  value(name: string): unknown {
    return this.#asked.value(name);
  }

  prompt(): Given {
    return this.#asked.prompt();
  }
}

function none(asked: Asked): void {
  for (const name of asked.names()) {
    if (!namingWithId.includes(name)) throw invalid(name, `${name} is not a field of this operation`);
  }
}

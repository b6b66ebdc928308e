// One operation by its name: alone, in a batch, or as a line of a connection. Its answer is a status and a body.

import type { JsonText } from '../../tokens/exact-json.ts';
import { isJsonObject, type Json } from '../../tokens/json-values.ts';
import type { RequestError } from '../../wire/openai-error.ts';
import { asRequestError } from '../exchange/http-reply.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import { Fields, invalid, ObjectFields } from '../inference/request-fields.ts';
import { AskedFields } from './asked-fields.ts';
import { plainFields, reservationIdOf } from './read-fields.ts';
import type { Caller, Selection } from './selection.ts';
import type { SelectionContext } from './selection-context.ts';
import { batchOperationsMax, deleteBody } from './shapes.ts';

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
  fields: AskedFields,
): Promise<OperationAnswer> {
  const op = fields.value('op');
  const name = operationNames.find((one) => one === op);
  return answered(context, caller, name ?? 'unknown', () => {
    switch (name) {
      case 'select':
        return selection.select(caller, new Without(fields, naming));
      case 'reserve':
        return selection.reserve(caller, new Without(fields, naming), (keptBytes) => fields.read(keptBytes));
      case 'overlap':
        return selection.overlap(caller, new Without(fields, naming));
      case 'potential-loads':
        return selection.potentialLoads(caller, new Without(fields, naming));
      case 'output':
        return selection.output(caller, reservationIdOf(fields), new Without(fields, namingWithId));
      case 'first-token':
        none(fields);
        return selection.firstToken(caller, reservationIdOf(fields));
      case 'show':
        none(fields);
        return selection.show(caller, reservationIdOf(fields));
      case 'delete':
        return selection.delete(
          caller,
          reservationIdOf(fields),
          plainFields(deleteBody, new Without(fields, namingWithId)),
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
 * ended. @returns the JSON texts of their answers in the same order
 * @throws RequestError 400 if the body is no batch, 413 if it has too many
 */
export async function operateAll(
  context: SelectionContext,
  selection: Selection,
  caller: Caller,
  fields: AskedFields,
): Promise<readonly string[]> {
  for (const name of fields.names())
    if (name !== 'operations') throw invalid(name, `${name} is not a field of a batch`);
  const list = fields.value('operations');
  if (!Array.isArray(list) || list.length === 0) throw invalid('operations', 'operations must be a list');
  if (list.length > batchOperationsMax) {
    const message = `operations has ${list.length} operations; at most ${batchOperationsMax} go in a batch`;
    throw new LimitReached('batchOperationsMax', 413, 'batch_too_large', message);
  }
  let bytes = 0;
  // Each as soon as it is there: a hundred long answers would block the event loop together.
  const asText = async (running: Promise<OperationAnswer>): Promise<string> => {
    const { status, body } = await running;
    const text = JSON.stringify({ status, body });
    bytes += text.length;
    return text;
  };
  const started: Promise<string>[] = [];
  let unread = list.length;
  let keptBytes = 0;
  const onRead = (kept: number): void => {
    keptBytes += kept;
    unread -= 1;
    if (unread === 0) fields.read(keptBytes);
  };
  const begin = (at: number, operation: Json): Promise<OperationAnswer> => {
    const isOne = isJsonObject(operation);
    if (isOne && bytes <= batchAnswersBytesMax) {
      const own = new AskedFields(new ObjectFields(operation), onRead);
      return operate(context, selection, caller, own).finally(() => own.read(0));
    }
    onRead(0);
    return refused(isOne ? tooLong() : invalid(`operations[${at}]`, `operations[${at}] must be an object`));
  };
  const refused = (error: RequestError): Promise<OperationAnswer> =>
    answered(context, caller, 'unknown', () => Promise.reject(error));
  const lastOf = new Map<Json, Promise<string>>();
  /** A function of its own: what it has begun must not be kept here. */
  const beginNext = (at: number): void => {
    const operation = list[at] as Json;
    (list as Json[])[at] = null;
    const id = isJsonObject(operation) ? operation.get('id') : undefined;
    // A deletion would cancel a reservation of this batch that is being made.
    const before = id === undefined ? undefined : lastOf.get(id);
    const run = (): Promise<string> => asText(begin(at, operation));
    const running = before === undefined ? run() : before.then(run);
    started.push(running);
    if (id !== undefined) lastOf.set(id, running);
  };
  for (let at = 0; at < list.length; at++) {
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

/** The fields of an object without some. */
class Without extends Fields {
  readonly #fields: Fields;
  readonly #without: readonly string[];

  constructor(fields: Fields, without: readonly string[]) {
    super();
    this.#fields = fields;
    this.#without = without;
  }

  *names(): Iterable<string> {
    for (const name of this.#fields.names()) if (!this.#without.includes(name)) yield name;
  }

  value(name: string): Json {
    return this.#fields.value(name);
  }

  json(name: string): JsonText | null {
    return this.#fields.json(name);
  }
}

function none(fields: Fields): void {
  for (const name of fields.names()) {
    if (!namingWithId.includes(name)) throw invalid(name, `${name} is not a field of this operation`);
  }
}

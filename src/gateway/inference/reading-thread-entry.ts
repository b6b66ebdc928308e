// The thread that reads large bodies: in slices, the shortest first.

import { parentPort } from 'node:worker_threads';
import { assert } from '../../core/assert.ts';
import { ArrivingTexts } from '../../tokens/in-pieces.ts';
import { ThreadTurns } from '../../tokens/thread-turns.ts';
import { limitPriority } from '../../wire/limit-priority.ts';
import { RequestError } from '../../wire/openai-error.ts';
import { modelSpan } from '../../wire/rename-model.ts';
import { type BodyEdits, editedBody, wholeBody } from './body-edits.ts';
import { permitted } from './client-rights.ts';
import { measuredSteps } from './measured-json.ts';
import { type ReadBytes, type Reading, type ReadingReply, type ReadingRequest, toSend } from './reading-messages.ts';
import { inferenceSteps } from './request-intake.ts';

assert(parentPort !== null, 'this module runs in a worker thread');
const port = parentPort;
const turns = new ThreadTurns(() => performance.now());
const bodies = new ArrivingTexts();
let working = false;

port.on('message', (request: ReadingRequest) => {
  switch (request.kind) {
    case 'piece':
      bodies.add(request.id, request.piece);
      return;
    case 'drop':
      turns.drop(request.id);
      bodies.dropGroup(request.id);
      return;
    case 'read':
      begin(request);
  }
});

type Task = Extract<ReadingRequest, { kind: 'read' }>;

function begin({ id, task }: Task): void {
  const body = bodies.take(id);
  const memory: ArrayBuffer[] = [];
  const steps = read(task, body, memory);
  turns.add({ id, group: id, size: body.length, step: () => step(id, steps, memory) });
  if (!working) work();
}

/** Messages are received between slices. */
function work(): void {
  working = !turns.isEmpty;
  if (!working) return;
  turns.runSlice();
  setImmediate(work);
}

function step(id: number, steps: Generator<void, Reading>, memory: ArrayBuffer[]): boolean {
  try {
    const { done, value } = steps.next();
    if (!done) return false;
    port.postMessage({ kind: 'read', id, reading: value } satisfies ReadingReply, memory);
  } catch (error) {
    const isOurs = error instanceof RequestError;
    const message = error instanceof Error ? error.message : String(error);
    const { status, code, param } = isOurs ? error : { status: null, code: 'internal', param: null };
    port.postMessage({ kind: 'failed', id, status, code, message, param } satisfies ReadingReply);
  }
  return true;
}

/** @param memory gets what is to be transferred with the reading */
function* read(task: Task['task'], body: Buffer, memory: ArrayBuffer[]): Generator<void, Reading> {
  if (task.kind === 'measured') {
    const reading = yield* measuredSteps(body, task.contentType);
    if (reading.kind === 'wrong') return { kind: 'measured', reading, edited: null, modelAt: null };
    yield;
    const limited = limitPriority(body, (priority) => permitted(task.rights, priority));
    return { kind: 'measured', reading, ...readBytes(body, limited, memory) };
  }
  const { api, continues } = task;
  const request = yield* inferenceSteps(api, body, continues);
  yield;
  const edits: BodyEdits = { ...task, ...request };
  const made = editedBody(body, edits);
  const { hidesUsage } = made;
  const edited = wholeBody(made);
  yield;
  const crossing = toSend(request, body);
  memory.push(...crossing.memory);
  return { kind: 'inference', request: crossing.sent, hidesUsage, ...readBytes(body, edited, memory) };
}

function readBytes(body: Buffer, edited: Buffer, memory: ArrayBuffer[]): ReadBytes {
  const modelAt = modelSpan(edited);
  if (edited === body) return { edited: null, modelAt };
  memory.push(edited.buffer as ArrayBuffer);
  return { edited, modelAt };
}

// What a thread does that reads large bodies: it reads them in slices, the shortest first.

import { parentPort } from 'node:worker_threads';
import { assert } from '../../core/assert.ts';
import { ArrivingTexts } from '../../tokens/in-pieces.ts';
import { ThreadTurns } from '../../tokens/thread-turns.ts';
import { sentError } from '../exchange/sent-error.ts';
import type { ReadingReply, ReadingRequest } from './reading-messages.ts';

/** Steps of a few milliseconds. @param memory gets what is to be transferred with the reading */
export type BodySteps<Task, Read> = (task: Task, body: Buffer, memory: ArrayBuffer[]) => Generator<void, Read>;

/** Serves the thread's port for good. To be called once in a thread. */
export function serveReadings<Task, Read>(read: BodySteps<Task, Read>): void {
  assert(parentPort !== null, 'this runs in a worker thread');
  const port = parentPort;
  const turns = new ThreadTurns(() => performance.now());
  const bodies = new ArrivingTexts();
  let working = false;

  port.on('message', (request: ReadingRequest<Task>) => {
    switch (request.kind) {
      case 'piece':
        bodies.add(request.id, request.piece);
        return;
      case 'drop':
        turns.drop(request.id);
        bodies.dropGroup(request.id);
        return;
      case 'read':
        begin(request.id, request.task);
    }
  });

  function begin(id: number, task: Task): void {
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

  function step(id: number, steps: Generator<void, Read>, memory: ArrayBuffer[]): boolean {
    const post = (reply: ReadingReply<Read>): void => port.postMessage(reply, memory);
    try {
      const { done, value } = steps.next();
      if (!done) return false;
      post({ kind: 'read', id, reading: value });
    } catch (error) {
      memory.length = 0;
      post({ kind: 'failed', id, error: sentError(error) });
    }
    return true;
  }
}

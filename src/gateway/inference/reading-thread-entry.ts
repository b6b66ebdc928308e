// The thread that reads large bodies of inference requests.

import { limitPriority } from '../../wire/limit-priority.ts';
import { modelSpan } from '../../wire/rename-model.ts';
import { type BodyEdits, editedBody, wholeBody } from './body-edits.ts';
import { permitted } from './client-rights.ts';
import { measuredSteps } from './measured-json.ts';
import { crossed, type ReadBytes, type Reading, type ReadingTask } from './reading-messages.ts';
import { inferenceSteps } from './request-intake.ts';
import { serveReadings } from './serve-readings.ts';

serveReadings<ReadingTask, Reading>(function* (task, body, memory) {
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
  const prompts = request.prompts.map((prompt) => crossed(prompt, body, memory));
  return { kind: 'inference', request: { ...request, prompts }, hidesUsage, ...readBytes(body, edited, memory) };
});

function readBytes(body: Buffer, edited: Buffer, memory: ArrayBuffer[]): ReadBytes {
  const modelAt = modelSpan(edited);
  if (edited === body) return { edited: null, modelAt };
  memory.push(edited.buffer as ArrayBuffer);
  return { edited, modelAt };
}

// Answers what-if questions of the page in a thread with limited memory, which ends with its answer.

import { Worker } from 'node:worker_threads';
import type { RunWhatIf, WhatIfAnswer } from '../gateway/page/what-if-desk.ts';
import type { WhatIfReply } from './what-if-thread.ts';

/** A thread that needs more is ended; the gateway goes on. */
const heapMbMax = 1024;

/** Under vitest the thread runs the compiled module, because Node 20 runs no TypeScript. `npm test` builds first. */
const entry: URL = new URL(
  import.meta.url.endsWith('.ts') ? '../../dist/cli/what-if-thread.js' : './what-if-thread.js',
  import.meta.url,
);

export const runWhatIf: RunWhatIf = (question, signal) =>
  new Promise<WhatIfAnswer>((resolve, reject) => {
    const thread = new Worker(entry, {
      workerData: question,
      resourceLimits: { maxOldGenerationSizeMb: heapMbMax },
      env: {},
      execArgv: [],
    });
    const end = (): void => {
      signal.removeEventListener('abort', stop);
      void thread.terminate();
    };
    const stop = (): void => {
      end();
      reject(new Error('the run was ended'));
    };
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    thread.on('message', (reply: WhatIfReply) => {
      end();
      if (reply.kind === 'done') resolve(reply.answer);
      else reject(new Error(reply.message));
    });
    thread.on('error', (error: NodeJS.ErrnoException) => {
      end();
      const isMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      reject(isMemory ? new Error('the run needed too much memory: ask for fewer minutes') : error);
    });
    thread.on('exit', () => reject(new Error('the run ended without an answer')));
  });

// What goes wrong in an experiment through no fault of the program: said in a line, without a stack.

import type { Command } from 'commander';
import { TokenizerError } from '../tokens/index.ts';
import { TraceError } from '../trace/trace-error.ts';

/**
 * `workload-unknown`: no file and no shipped workload. `no-rate`: all requests at once have no capacity to search for.
 * `cluster-impossible`: workers that hold nothing, or more than a simulation has memory for.
 */
export type LabErrorCode = 'workload-unknown' | 'no-rate' | 'cluster-impossible';

export class LabError extends Error {
  readonly code: LabErrorCode;

  constructor(code: LabErrorCode, message: string) {
    super(message);
    this.name = 'LabError';
    this.code = code;
  }
}

/** An action of a command that ends with one line on stderr and exit code 1 for every expected failure. */
export function sayingErrors<Flags>(command: Command, action: (flags: Flags) => Promise<void>) {
  return async (flags: Flags): Promise<void> => {
    try {
      await action(flags);
    } catch (error) {
      const isExpected = error instanceof LabError || error instanceof TraceError || error instanceof TokenizerError;
      // Those of the file system have a code, too: a results folder that can't be written.
      if (isExpected || (error as NodeJS.ErrnoException).syscall !== undefined) {
        command.error(`error: ${(error as Error).message}`);
      }
      throw error;
    }
  };
}

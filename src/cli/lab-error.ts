// Expected errors of an experiment, printed in one line without a stack.

import type { Command } from 'commander';
import { TokenizerError } from '../tokens/tokenizer.ts';
import { TraceError } from '../trace/trace-error.ts';

/**
 * `workload-unknown`: neither a file nor a built-in workload. `no-rate`: all requests arrive at once, so there is no
 * capacity to search. `cluster-impossible`: the workers hold no block, or more blocks than the lab can simulate.
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

/** Wraps a command's action: expected errors end it with one line on stderr and exit code 1. */
export function sayingErrors<Flags>(command: Command, action: (flags: Flags) => Promise<void>) {
  return async (flags: Flags): Promise<void> => {
    try {
      await action(flags);
    } catch (error) {
      const isExpected = error instanceof LabError || error instanceof TraceError || error instanceof TokenizerError;
      // File system errors are expected too, such as a results folder that can't be written.
      if (isExpected || (error as NodeJS.ErrnoException).syscall !== undefined) {
        command.error(`error: ${(error as Error).message}`);
      }
      throw error;
    }
  };
}

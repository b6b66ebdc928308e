// Errors in trace files.

export type TraceErrorCode =
  /** The file or folder does not exist or can't be read. */
  | 'trace-unreadable'
  /** The format is unknown. */
  | 'trace-unknown'
  /** A line or field violates the format. */
  | 'trace-invalid'
  /** A line or file exceeds its limit. */
  | 'trace-too-large'
  /** Raw text needs a tokenizer, and none was given. */
  | 'tokenizer-missing';

/** The message names file, line and field. */
export class TraceError extends Error {
  readonly code: TraceErrorCode;

  constructor(code: TraceErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TraceError';
    this.code = code;
  }
}

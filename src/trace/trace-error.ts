// What is wrong with a trace file, and where.

export type TraceErrorCode =
  /** The file or folder is not there, or can't be read. */
  | 'trace-unreadable'
  /** It is in none of the formats. */
  | 'trace-unknown'
  /** A line or field is not what its format says. */
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

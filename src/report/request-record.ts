// What became of one request, as its client saw it.

/** Why a request did not end as asked; the message is for people. */
export type RequestFailure = {
  /**
   * `connect`: never reached the server, or lost it before the answer began; `status`: refused by HTTP status;
   * `error-event`: the stream reported an error, or that the engine aborted; `cut`: the stream ended before its end
   * mark; `protocol`: not a stream of the OpenAI API; `timeout`: not done in time; `aborted`: ended by our own signal.
   */
  readonly kind: 'connect' | 'status' | 'error-event' | 'cut' | 'protocol' | 'timeout' | 'aborted';
  readonly message: string;
};

/** All times are in milliseconds on one monotonic clock. */
export interface RequestRecord {
  /** Position in the workload. */
  readonly index: number;
  /** What latencies count from: the scheduled arrival (open loop) or the moment of sending (closed loop). */
  readonly startMs: number;
  /** When the request was handed to the socket pool; later than `startMs` by what the load client itself lagged. */
  readonly sentMs: number;
  /** The first chunk that carries a token, whatever its text; null if none came. */
  readonly firstTokenMs: number | null;
  /** End mark, failure or abort. */
  readonly endMs: number;
  /** Gaps between neighbouring tokens, `outputTokens - 1` of them; tokens that share a chunk are 0 ms apart. */
  readonly gapsMs: Float64Array;
  readonly outputTokens: number;
  /** From the usage of the stream; null if it had none. */
  readonly promptTokens: number | null;
  readonly cachedTokens: number | null;
  /** Null: the stream ended normally. */
  readonly failure: RequestFailure | null;
}

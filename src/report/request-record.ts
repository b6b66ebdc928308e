// Result of one request, as its client saw it.

/** Why a request failed. The message is for people. */
export type RequestFailure = {
  /**
   * `connect`: no connection, or lost before the answer began. `status`: refused with an HTTP status. `error-event`:
   * the stream reported an error or an abort by the engine. `cut`: the stream ended before its end mark. `protocol`:
   * not a stream of the OpenAI API. `timeout`: not finished in time. `aborted`: ended by our own signal.
   */
  readonly kind: 'connect' | 'status' | 'error-event' | 'cut' | 'protocol' | 'timeout' | 'aborted';
  readonly message: string;
};

/** All times are in milliseconds on one monotonic clock. */
export interface RequestRecord {
  /** Position in the workload. */
  readonly index: number;
  /** Start of the latencies: the scheduled arrival (open loop) or the time of sending (closed loop). */
  readonly startMs: number;
  /** When the request was handed to the socket pool. `sentMs - startMs` is the lag of the load client itself. */
  readonly sentMs: number;
  /** Time of the first chunk with a token, even if its text is empty. Null if none came. */
  readonly firstTokenMs: number | null;
  /** Time of the end mark, failure or abort. */
  readonly endMs: number;
  /** Gaps between neighbouring tokens (`outputTokens - 1`). Tokens of one chunk are 0 ms apart. */
  readonly gapsMs: Float64Array;
  readonly outputTokens: number;
  /** From the usage of the stream. Null if it had none. */
  readonly promptTokens: number | null;
  readonly cachedTokens: number | null;
  /** Null if the stream ended normally. */
  readonly failure: RequestFailure | null;
}

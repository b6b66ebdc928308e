// The interface of an engine under test, real or simulated.

export interface EngineUnderTest {
  /** Name in the table. */
  readonly name: string;
  readonly url: string;
  /** Endpoint that replays all of its KV events. */
  readonly replayEndpoint: string;
  /** Its `--worker` value. */
  readonly workerSpec: string;
  /** Kills all of its processes at once. */
  kill(): Promise<void>;
  /** Starts it again at the same address, with an empty cache. */
  restart(): Promise<void>;
}

/** Shared by all phases of a run. */
export interface Stage {
  readonly engines: readonly EngineUnderTest[];
  readonly model: string;
  readonly blockSize: number;
  /** Usage without a count of cached tokens means 0. */
  readonly omitsZero: boolean;
  /** Prints a progress line. */
  readonly say: (line: string) => void;
}

// What a phase has to know of an engine, be it real or simulated.

export interface EngineUnderTest {
  /** In the table. */
  readonly name: string;
  readonly url: string;
  /** Where all of its KV events can be asked for. */
  readonly replayEndpoint: string;
  /** How kvoyant is told of it. */
  readonly workerSpec: string;
  /** Ends all of its processes at once. */
  kill(): Promise<void>;
  /** Starts it again at its old address, with an empty cache. */
  restart(): Promise<void>;
}

/** What all phases of a run work on. */
export interface Stage {
  readonly engines: readonly EngineUnderTest[];
  readonly model: string;
  readonly blockSize: number;
  /** Usage without a count of cached tokens says that there are none. */
  readonly omitsZero: boolean;
  /** Takes a line for whoever waits. */
  readonly say: (line: string) => void;
}

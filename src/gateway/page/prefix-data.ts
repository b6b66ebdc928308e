// What the page is told of the hottest prefixes.

export interface PrefixMap {
  readonly timeMs: number;
  /** Span of `hits`, and the share of decisions that were looked at. */
  readonly stepMs: number;
  readonly sampledShare: number;
  /** Prefixes followed at a time, and how many times one had to be given up for another. */
  readonly followedMax: number;
  readonly givenUp: number;
  /** By tokens saved, most first; at most 200. A prefix whose requests all go on alike is shown by its longest form. */
  readonly prefixes: readonly PrefixState[];
}

export interface PrefixState {
  /** Sequence hash of its last block, in hexadecimal. No text of a prompt is kept anywhere. */
  readonly hash: string;
  /** The next shorter prefix in this list; null: none. */
  readonly parent: string | null;
  readonly pool: string;
  readonly model: string;
  readonly tokens: number;
  readonly blocks: number;
  /** Requests of the last hour that begin with it, counted since it is followed; at most `hitsErrorMax` more. */
  readonly requests: number;
  readonly hitsErrorMax: number;
  /** Prompt tokens that were cached thanks to it, as predicted by the choices of the last hour. */
  readonly savedTokens: number;
  /** Workers that hold its last block now, by the router's index, and the number of those in the pool. */
  readonly workers: readonly string[];
  readonly poolWorkers: number;
  /** Requests per `stepMs`, oldest first, up to now. */
  readonly hits: readonly number[];
  readonly lastMs: number;
}

// Whether the gateway's conversion of responses and messages into chats is the engines' own, judged by their counts.
//
// Engines and their versions convert differently. A conversion that gives another number of tokens than the engine
// reports claims blocks that are not there, so after a few of them in a row it is given up, and its requests are known
// by their bytes. It is tried again from time to time: engines are upgraded.

/** Wrong counts in a row after which a kind of request is no longer converted. */
const missesMax = 3;
/** Of so many requests of a kind that is given up, one is converted again. */
const retriedOf = 64;
/** Kinds are API and features of the chat; more than there can be. */
const kindsMax = 1024;

interface Kind {
  misses: number;
  /** Requests since the last that was converted. */
  skipped: number;
}

export class ConversionTrust {
  readonly #kinds = new Map<string, Kind>();

  /** Whether to convert the next request of this kind. Counts it. */
  converts(kind: string): boolean {
    const known = this.#kinds.get(kind);
    if (known === undefined || known.misses < missesMax) return true;
    known.skipped += 1;
    if (known.skipped < retriedOf) return false;
    known.skipped = 0;
    return true;
  }

  /** @param matches the engine counted as many tokens as the gateway */
  note(kind: string, matches: boolean): void {
    if (matches) {
      this.#kinds.delete(kind);
      return;
    }
    const known = this.#kinds.get(kind);
    if (known !== undefined) known.misses += 1;
    else if (this.#kinds.size < kindsMax) this.#kinds.set(kind, { misses: 1, skipped: 0 });
  }

  /** Kinds that are given up. */
  get givenUp(): readonly string[] {
    return [...this.#kinds].filter(([, { misses }]) => misses >= missesMax).map(([kind]) => kind);
  }
}

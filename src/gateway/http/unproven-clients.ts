// Unproven connections by client: finds the client with the most, and its oldest connection.

/** Connections of one client, oldest first. */
type Connections<T> = Set<T>;

/** All operations are O(1). */
export class UnprovenClients<T> {
  readonly #byClient = new Map<string, Connections<T>>();
  /** At index n: the clients with n connections. */
  readonly #byCount: Set<string>[] = [];
  #most = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The largest number of connections of any client. */
  get most(): number {
    return this.#most;
  }

  countOf(client: string): number {
    return this.#byClient.get(client)?.size ?? 0;
  }

  add(client: string, connection: T): void {
    const connections = this.#byClient.get(client) ?? new Set();
    this.#byClient.set(client, connections);
    connections.add(connection);
    this.#count += 1;
    this.#moved(client, connections.size - 1, connections.size);
  }

  /** Does nothing if it is not there. */
  remove(client: string, connection: T): void {
    const connections = this.#byClient.get(client);
    if (connections === undefined || !connections.delete(connection)) return;
    this.#count -= 1;
    if (connections.size === 0) this.#byClient.delete(client);
    this.#moved(client, connections.size + 1, connections.size);
  }

  oldestOf(client: string): T | null {
    return first(this.#byClient.get(client));
  }

  /** Oldest connection of a client with the most connections; null if there are none. */
  oldestOfMost(): T | null {
    const client = first(this.#byCount[this.#most]);
    return client === null ? null : this.oldestOf(client);
  }

  #moved(client: string, from: number, to: number): void {
    this.#byCount[from]?.delete(client);
    if (to > 0) {
      this.#byCount[to] ??= new Set();
      this.#byCount[to].add(client);
    }
    if (to > this.#most) this.#most = to;
    else if (from === this.#most && (this.#byCount[from]?.size ?? 0) === 0) this.#most = to;
  }
}

function first<T>(set: ReadonlySet<T> | undefined): T | null {
  for (const item of set ?? []) return item;
  return null;
}

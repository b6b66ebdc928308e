// Naive twin of SGLang's prefix tree: a list of runs, each with its whole path, and no stored counts.

/** Pages from the start of a sequence, each as a unique text. */
export type Path = readonly string[];

interface Run {
  path: Path;
  /** Pages of the path that are this run's own. */
  own: number;
  usedAt: number;
}

interface Holder {
  /** The part of its pages that is in the tree. */
  stored: Path;
  /** Pages that are not in the tree. */
  own: number;
}

const begins = (path: Path, head: Path): boolean => head.every((page, i) => path[i] === page);

export class NaiveRadix {
  /** Stored and removed pages: `+` or `-` and the path. */
  events: string[] = [];
  #runs: Run[] = [];
  readonly #holders = new Map<number, Holder>();
  readonly #capacity: number;
  #now = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  match(path: Path): number {
    return this.#walk(path);
  }

  admit(id: number, path: Path, hits: number, wanted: number): boolean {
    this.#holders.set(id, { stored: path.slice(0, hits), own: 0 });
    if (wanted - hits <= this.#free() + this.#evictable()) return true;
    this.#holders.delete(id);
    return false;
  }

  hold(id: number, pages: number): boolean {
    const holder = this.#holders.get(id)!;
    const missing = pages - holder.stored.length - holder.own;
    if (missing > this.#free() + this.#evictable()) return false;
    while (missing > this.#free()) this.#evict();
    holder.own += missing;
    return true;
  }

  /** @param full the complete pages that the sequence has computed */
  insert(id: number, full: Path): void {
    const holder = this.#holders.get(id)!;
    if (full.length === holder.stored.length) return;
    const there = this.#walk(full);
    holder.own -= full.length - holder.stored.length;
    holder.stored = full;
    if (there === full.length) return;
    this.#runs.push({ path: full, own: full.length - there, usedAt: this.#now });
    for (let end = there + 1; end <= full.length; end++) this.events.push(`+${full.slice(0, end).join()}`);
  }

  leave(id: number): void {
    this.#holders.delete(id);
  }

  clear(): boolean {
    if (this.#holders.size > 0) return false;
    this.#runs = [];
    return true;
  }

  contents(): Set<string> {
    return new Set(this.#runs.flatMap((run) => pathsOf(run)));
  }

  usage(): number {
    return 1 - (this.#free() + this.#evictable()) / this.#capacity;
  }

  #walk(path: Path): number {
    this.#now += 1;
    let depth = 0;
    for (;;) {
      const next = this.#runs.find(
        ({ path: other, own }) => other.length - own === depth && begins(path, other.slice(0, depth + 1)),
      );
      if (next === undefined || depth === path.length) return depth;
      let end = depth;
      while (end < path.length && next.path[end] === path[end] && end < next.path.length) end += 1;
      if (end < next.path.length) {
        this.#runs.push({ path: next.path.slice(0, end), own: end - depth, usedAt: this.#now });
        next.own = next.path.length - end;
      } else next.usedAt = this.#now;
      depth = end;
    }
  }

  #evict(): void {
    const leaves = this.#runs.filter((run) => !this.#isLocked(run) && !this.#hasChild(run));
    const oldest = leaves.reduce((a, b) => (b.usedAt < a.usedAt ? b : a));
    this.#runs.splice(this.#runs.indexOf(oldest), 1);
    for (const path of pathsOf(oldest)) this.events.push(`-${path}`);
  }

  #isLocked({ path, own }: Run): boolean {
    return [...this.#holders.values()].some(({ stored }) => begins(stored, path.slice(0, path.length - own + 1)));
  }

  #hasChild(run: Run): boolean {
    return this.#runs.some((other) => other !== run && begins(other.path, run.path));
  }

  #free(): number {
    const own = [...this.#holders.values()].reduce((sum, holder) => sum + holder.own, 0);
    return this.#capacity - own - this.#runs.reduce((sum, run) => sum + run.own, 0);
  }

  #evictable(): number {
    return this.#runs.filter((run) => !this.#isLocked(run)).reduce((sum, run) => sum + run.own, 0);
  }
}

function pathsOf({ path, own }: Run): string[] {
  return Array.from({ length: own }, (_, i) => path.slice(0, path.length - own + i + 1).join());
}

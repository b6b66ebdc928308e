// What the page knows now. Changes are gathered and told once per animation frame, however many events arrive.

import { useEffect, useState } from 'preact/hooks';
import type { DoctorState, PageSession, Snapshot, Sparklines, WhatIf } from '../data.ts';
import type { DecisionFeed } from './decision-feed.ts';

/**
 * `live`: events arrive. `connecting`: the first connection is being made. `lost`: the connection ended or is silent,
 * and is made anew.
 */
export type Connection =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'lost'; readonly sinceMs: number; readonly why: string };

export interface PageState {
  /** Null until the gateway has answered. */
  readonly session: PageSession | null;
  readonly connection: Connection;
  readonly snapshot: Snapshot | null;
  /** When the snapshot came, by this browser's clock. */
  readonly snapshotMs: number;
  readonly sparklines: Sparklines | null;
  readonly decisions: DecisionFeed;
  readonly whatIf: WhatIf | null;
  readonly doctor: DoctorState | null;
  /** A short sentence that screen readers say. */
  readonly said: string;
}

export class Store {
  #state: PageState;
  readonly #listeners = new Set<() => void>();
  #frame = 0;

  constructor(state: PageState) {
    this.#state = state;
  }

  get state(): PageState {
    return this.#state;
  }

  change(part: Partial<PageState>): void {
    this.#state = { ...this.#state, ...part };
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#tell());
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(): void {
    this.#frame = 0;
    for (const listener of this.#listeners) listener();
  }
}

/** Renders again only when what `select` picks has changed. */
export function useStore<T>(store: Store, select: (state: PageState) => T): T {
  const [value, setValue] = useState(() => select(store.state));
  useEffect(() => {
    const update = (): void => setValue(() => select(store.state));
    update();
    return store.subscribe(update);
  }, [store]);
  return value;
}

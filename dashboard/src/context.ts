// What every view may use: the store, the stream, and the names of the workers.

import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { WorkerState } from './data.ts';
import type { Store } from './live/store.ts';
import { useStore } from './live/store.ts';
import type { Stream } from './live/stream.ts';
import type { NameBook, NamedFleet } from './worker-names.ts';

export interface PageContext {
  readonly store: Store;
  readonly stream: Stream;
  readonly names: NameBook;
}

export const Page = createContext<PageContext | null>(null);

export function usePage(): PageContext {
  return useContext(Page)!;
}

/** Text in which workers have their short names. */
export function useNamedText(): (text: string) => string {
  const { ids, nameOf } = useFleet();
  return (text) => {
    if (!text.includes('://') || ids.length === 0) return text;
    // The longest first: an address may begin another one.
    return ids.toSorted((a, b) => b.length - a.length).reduce((named, id) => named.replaceAll(id, nameOf(id)), text);
  };
}

/** Short name of a worker by its id. */
export function useNames(): (id: string) => string {
  return useFleet().nameOf;
}

const noWorkers: readonly WorkerState[] = [];

function useFleet(): NamedFleet {
  const { store, names } = usePage();
  return useStore(store, ({ snapshot }) => names.of(snapshot?.workers ?? noWorkers));
}

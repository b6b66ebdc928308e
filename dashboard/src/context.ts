// What every view may use: the store, the stream, and the names of the workers.

import { createContext } from 'preact';
import { useContext, useMemo } from 'preact/hooks';
import type { Store } from './live/store.ts';
import { useStore } from './live/store.ts';
import type { Stream } from './live/stream.ts';
import { shortNames } from './worker-names.ts';

export interface PageContext {
  readonly store: Store;
  readonly stream: Stream;
}

export const Page = createContext<PageContext | null>(null);

export function usePage(): PageContext {
  return useContext(Page)!;
}

/** Text in which workers have their short names. */
export function useNamedText(): (text: string) => string {
  const { store } = usePage();
  const ids = useStore(store, ({ snapshot }) => (snapshot?.workers ?? []).map(({ id }) => id).join('\n'));
  const nameOf = useNames();
  return (text) => {
    if (!text.includes('://') || ids === '') return text;
    // The longest first: an address may begin another one.
    const sorted = ids.split('\n').sort((a, b) => b.length - a.length);
    return sorted.reduce((named, id) => named.replaceAll(id, nameOf(id)), text);
  };
}

/** Short name of a worker by its id. An id that is not in the fleet any more stays as it is. */
export function useNames(): (id: string) => string {
  const { store } = usePage();
  const ids = useStore(store, ({ snapshot }) => (snapshot?.workers ?? []).map(({ id }) => id).join('\n'));
  const names = useMemo(() => shortNames(ids === '' ? [] : ids.split('\n')), [ids]);
  return (id) => names.get(id) ?? id.replace(/^\w+:\/\//, '');
}

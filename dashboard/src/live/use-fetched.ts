// Data that a view fetches while it is shown, again and again.

import { useEffect, useRef, useState } from 'preact/hooks';
import { usePage } from '../context.ts';
import { useStore } from './store.ts';

export interface Fetched<T> {
  readonly data: T | null;
  /** Why the last try failed; null: it did not. */
  readonly fault: string | null;
}

/**
 * Fetches at once, every `everyMs`, and when the connection is back. Hidden tabs don't fetch. What is shown stays until
 * something newer has come.
 * @param name changes when `fetch` asks for something else
 */
export function useFetched<T>(name: string, everyMs: number, fetch: () => Promise<T>): Fetched<T> {
  const { store } = usePage();
  const isLive = useStore(store, ({ connection }) => connection.kind === 'live');
  const [state, setState] = useState<Fetched<T> & { readonly name: string }>({ name, data: null, fault: null });
  const latest = useRef(fetch);
  latest.current = fetch;
  useEffect(() => {
    let isCurrent = true;
    const load = async (): Promise<void> => {
      if (document.hidden) return;
      try {
        const data = await latest.current();
        if (isCurrent) setState({ name, data, fault: null });
      } catch (error) {
        const fault = error instanceof Error ? error.message : String(error);
        if (isCurrent) setState((before) => ({ name, data: before.name === name ? before.data : null, fault }));
      }
    };
    void load();
    const timer = setInterval(() => void load(), everyMs);
    return () => {
      isCurrent = false;
      clearInterval(timer);
    };
  }, [name, everyMs, isLive]);
  return state.name === name ? state : { data: null, fault: null };
}

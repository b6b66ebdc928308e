// Which view the address shows: `#/decisions/ID?worker=W` and the like, so that every view has a link.

import { useLayoutEffect, useMemo, useState } from 'preact/hooks';

export const viewNames = ['fleet', 'decisions', 'prefixes', 'truth', 'what-if'] as const;
export type ViewName = (typeof viewNames)[number];

export interface Route {
  readonly view: ViewName;
  /** Such as a worker or a request; null: the whole view. */
  readonly item: string | null;
  readonly query: URLSearchParams;
}

export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?');
  const [name = '', ...rest] = path.split('/');
  const view = viewNames.find((known) => known === name) ?? 'fleet';
  return { view, item: rest.length === 0 ? null : unescapePart(rest.join('/')), query: new URLSearchParams(query) };
}

/** @param query entries that are empty are left out */
export function linkTo(view: ViewName, item: string | null = null, query: Record<string, string> = {}): string {
  const kept = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ''));
  const text = kept.toString();
  return `#/${view}${item === null ? '' : `/${encodeURIComponent(item)}`}${text === '' ? '' : `?${text}`}`;
}

function unescapePart(text: string): string | null {
  try {
    return text === '' ? null : decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** Changes the address without a new entry in the browser's history. */
export function replaceRoute(link: string): void {
  history.replaceState(null, '', link);
  dispatchEvent(new HashChangeEvent('hashchange'));
}

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  // Before the browser paints: an address that changes while the page is loading must not be missed.
  useLayoutEffect(() => {
    const update = (): void => setHash(location.hash);
    update();
    addEventListener('hashchange', update);
    return () => removeEventListener('hashchange', update);
  }, []);
  return useMemo(() => parseRoute(hash), [hash]);
}

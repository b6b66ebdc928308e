// The frame of the page: header, navigation, the view that the address names.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ConnectionState } from './connection-state.tsx';
import { Page, usePage } from './context.ts';
import { DecisionsView } from './decisions/decisions-view.tsx';
import { FleetView } from './fleet/fleet-view.tsx';
import { Headline } from './headline.tsx';
import { api } from './live/api.ts';
import type { Store } from './live/store.ts';
import { useStore } from './live/store.ts';
import type { Stream } from './live/stream.ts';
import { Login } from './login.tsx';
import { PrefixesView } from './prefixes/prefixes-view.tsx';
import { linkTo, useRoute, type ViewName, viewNames } from './route.ts';
import { chooseTheme, useTheme } from './theme.ts';
import { TruthView } from './truth/truth-view.tsx';
import { WhatIfView } from './what-if/what-if-view.tsx';
import { NameBook } from './worker-names.ts';

const titles: Readonly<Record<ViewName, string>> = {
  fleet: 'Fleet',
  decisions: 'Decisions',
  prefixes: 'Prefixes',
  truth: 'Truth',
  'what-if': 'What if',
};

export function App({ store, stream }: { readonly store: Store; readonly stream: Stream }) {
  const context = useMemo(() => ({ store, stream, names: new NameBook() }), [store, stream]);
  const session = useStore(store, (state) => state.session);
  return (
    <Page.Provider value={context}>
      <button type="button" class="skip" onClick={skip}>
        Skip to the content
      </button>
      {session !== null && !session.open ? <Login /> : <Frame />}
      <Said />
    </Page.Provider>
  );
}

/** The address is the view's: only the focus moves. */
function skip(): void {
  document.getElementById('main')?.focus();
}

function Frame() {
  const { store, stream } = usePage();
  const route = useRoute();
  const session = useStore(store, (state) => state.session);
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${titles[route.view]} · kvoyant`;
    if (isFirst.current) isFirst.current = false;
    else scrollTo(0, 0);
  }, [route.view]);
  const signOut = async (): Promise<void> => {
    await api.logout().catch(() => null);
    stream.restart();
  };
  return (
    <>
      <header class="top">
        <div class="bar-top">
          <a class="brand" href={linkTo('fleet')}>
            <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
              <path d="M4 9h9M4 16h14M4 23h20" class="mark-lines" />
              <circle cx="26" cy="9" r="3.4" class="mark-dot" />
            </svg>
            kvoyant
          </a>
          <nav aria-label="Views">
            <ul>
              {viewNames.map((name) => (
                <li key={name}>
                  <a href={linkTo(name)} aria-current={name === route.view ? 'page' : undefined}>
                    {titles[name]}
                  </a>
                </li>
              ))}
            </ul>
          </nav>
          <div class="top-end">
            <ConnectionState />
            <ThemeButton />
            {session?.needsKey === true && (
              <button type="button" class="quiet" onClick={() => void signOut()}>
                Sign out
              </button>
            )}
          </div>
        </div>
        <Headline />
      </header>
      <main id="main" ref={main} tabIndex={-1} aria-label={titles[route.view]}>
        {route.view === 'fleet' && <FleetView route={route} />}
        {route.view === 'decisions' && <DecisionsView route={route} />}
        {route.view === 'prefixes' && <PrefixesView />}
        {route.view === 'truth' && <TruthView />}
        {route.view === 'what-if' && <WhatIfView />}
      </main>
      <Foot />
    </>
  );
}

function ThemeButton() {
  const theme = useTheme();
  const other = theme === 'dark' ? 'light' : 'dark';
  return (
    <button type="button" class="quiet icon" aria-label={`Use the ${other} colours`} onClick={() => chooseTheme(other)}>
      <svg viewBox="0 0 16 16" width="17" height="17" aria-hidden="true">
        <path d="M8 1.5a6.5 6.5 0 1 0 0 13zm0 0a6.5 6.5 0 0 1 0 13V13a5 5 0 0 0 0-10z" fill="currentColor" />
      </svg>
    </button>
  );
}

function Foot() {
  const { store } = usePage();
  const router = useStore(store, ({ snapshot }) => snapshot?.router ?? null);
  if (router === null) return null;
  return (
    <footer>
      <span>kvoyant {router.version}</span>
      <span>
        policy <strong>{router.policy}</strong>
      </span>
      <span>tokenizer {router.tokenizer}</span>
      {router.routers > 1 && <span>{router.routers} routers share this fleet</span>}
      <span>{router.recording.on ? 'recording is on' : 'no recording'}</span>
    </footer>
  );
}

/** One polite live region: only connections and actions speak, never figures. */
function Said() {
  const { store } = usePage();
  const said = useStore(store, (state) => state.said);
  const [shown, setShown] = useState('');
  useEffect(() => setShown(said), [said]);
  return (
    <div class="hidden" role="status" aria-live="polite">
      {shown}
    </div>
  );
}

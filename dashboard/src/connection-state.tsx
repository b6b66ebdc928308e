// Whether the figures are live, and if not, how old they are and what happens about it.

import { useEffect, useState } from 'preact/hooks';
import { usePage } from './context.ts';
import { duration } from './format.ts';
import { useStore } from './live/store.ts';
import { StateMark } from './state-mark.tsx';

export function ConnectionState() {
  const { store } = usePage();
  const connection = useStore(store, (state) => state.connection);
  const known = useStore(store, (state) => state.snapshot !== null);
  const nowMs = useNow(connection.kind === 'lost');
  if (connection.kind === 'live') return <StateMark level="well" word="live" />;
  if (connection.kind === 'connecting') return <StateMark level="busy" word="connecting" />;
  const ageMs = Math.max(0, Math.round((nowMs - connection.sinceMs) / 1000)) * 1000;
  return (
    <span class="lost" title={connection.why}>
      <StateMark level="bad" word={known ? `data ${duration(ageMs)} old, reconnecting` : 'not reached, reconnecting'} />
    </span>
  );
}

function useNow(runs: boolean): number {
  const [nowMs, setNowMs] = useState(Date.now());
  useEffect(() => {
    if (!runs) return;
    setNowMs(Date.now());
    const timer = setInterval(() => setNowMs(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [runs]);
  return nowMs;
}

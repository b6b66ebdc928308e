// Two sentences that a newcomer looks for: which worker is busiest and why, where the last request went and why.

import { useEffect, useState } from 'preact/hooks';
import { useNamedText, useNames, usePage } from '../context.ts';
import type { DecisionInFull } from '../data.ts';
import { ago, plural, short } from '../format.ts';
import { api } from '../live/api.ts';
import { useStore } from '../live/store.ts';
import { linkTo } from '../route.ts';

/** The last choice is looked up at most this often. */
const lookUpMs = 2000;

export function RightNow() {
  const { store } = usePage();
  const fleet = useStore(store, ({ snapshot }) => snapshot?.fleet ?? null);
  const nameOf = useNames();
  const named = useNamedText();
  const last = useLastDecision();
  const busiest = fleet?.busiest ?? null;
  return (
    <section class="panel now" aria-labelledby="now">
      <h2 id="now">Right now</h2>
      <div class="answers">
        <div>
          <h3 class="soft">Busiest worker</h3>
          {busiest === null ? (
            <p>None: nothing is in flight.</p>
          ) : (
            <p>
              <a href={linkTo('fleet', busiest.worker)}>{nameOf(busiest.worker)}</a>: {named(busiest.why)}
            </p>
          )}
        </div>
        <div>
          <h3 class="soft">Last choice</h3>
          {last === null ? (
            <p>No request has come yet. Send one, and this says where it went and why.</p>
          ) : (
            <p>
              <a href={linkTo('decisions', last.requestId)}>{nameOf(last.worker)}</a>, {agoOf(last.timeMs)}, for{' '}
              {plural(last.promptTokens, 'prompt token')}
              {last.predictedCachedTokens > 0 && ` (${short(last.predictedCachedTokens)} cached)`}: {named(last.why)}
            </p>
          )}
        </div>
      </div>
    </section>
  );
}

function agoOf(unixMs: number): string {
  const text = ago(Date.now() - unixMs);
  return text === 'now' ? 'just now' : text;
}

function useLastDecision(): DecisionInFull | null {
  const { store } = usePage();
  const latest = useStore(store, ({ decisions }) => decisions.rows[0]?.requestId ?? null);
  const [shown, setShown] = useState<DecisionInFull | null>(null);
  const [tick, setTick] = useState(0);
  const isShown = latest === null || latest === shown?.requestId;
  useEffect(() => {
    if (isShown) return;
    let isCurrent = true;
    const asked = store.state.decisions.rows[0]!.requestId;
    api.decision(asked).then(
      (attempts) => isCurrent && setShown(attempts.at(-1) ?? null),
      () => {},
    );
    const timer = setTimeout(() => setTick((value) => value + 1), lookUpMs);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [isShown, tick]);
  return shown;
}

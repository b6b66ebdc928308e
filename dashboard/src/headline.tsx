// Five figures that answer in one look: are the workers well, does the cache help, how much, how fast, is it true.

import type { ComponentChildren } from 'preact';
import { usePage } from './context.ts';
import type { Snapshot, TrustSummary } from './data.ts';
import { duration, nothing, percent, plural, short } from './format.ts';
import { useStore } from './live/store.ts';
import { linkTo } from './route.ts';
import { type Level, StateMark } from './state-mark.tsx';

export function Headline() {
  const { store } = usePage();
  const snapshot = useStore(store, (state) => state.snapshot);
  const isOld = useStore(store, (state) => state.connection.kind === 'lost');
  return (
    <dl class={isOld ? 'headline old' : 'headline'} aria-label="The fleet in five figures">
      {snapshot === null ? <Waiting /> : <Figures {...snapshot} />}
    </dl>
  );
}

function Waiting() {
  return (
    <>
      {['workers ready', 'of prompt tokens from cache', 'requests/s', 'median TTFT', "router's view"].map((name) => (
        <Figure key={name} name={name} value={nothing} />
      ))}
    </>
  );
}

const levels: Readonly<Record<TrustSummary['level'], readonly [Level, string]>> = {
  good: ['well', 'Trusted'],
  warning: ['warn', 'With care'],
  bad: ['bad', 'Not now'],
};

function Figures({ fleet, pools }: Snapshot) {
  const { workers, ready, requestsPerS, runningRequests, ttftP50Ms, trust } = fleet;
  const waiting = pools.reduce((sum, pool) => sum + pool.waiting, 0);
  const missing = workers - ready;
  const [level, word] = levels[trust.level];
  return (
    <>
      <Figure
        name={missing > 0 ? `workers ready, ${missing} not` : 'workers ready'}
        value={
          <>
            {ready}
            <small> of {workers}</small>
          </>
        }
        level={missing === 0 && workers > 0 ? 'well' : ready === 0 ? 'bad' : 'warn'}
      />
      <FromCache {...fleet} />
      <Figure
        name={`requests/s, ${short(runningRequests)} in flight${waiting > 0 ? `, ${short(waiting)} queued` : ''}`}
        value={short(requestsPerS)}
      />
      <Figure name="median time to first token" value={duration(ttftP50Ms)} />
      <Figure
        name={trust.text}
        value={<span class={`word ${level}`}>{word}</span>}
        level={level}
        link={linkTo('truth')}
        title={`${plural(trust.exact, 'worker')} exact, ${trust.catchingUp} catching up, ${trust.degraded} degraded, ${trust.approximate} approximate`}
      />
    </>
  );
}

/** Below it, what engines told says little about the fleet. */
const toldShareMin = 0.9;

function FromCache({ prefixHitRate, predictedHitRate, toldShare }: Snapshot['fleet']) {
  const name = 'of prompt tokens from cache';
  if (toldShare === null || toldShare >= toldShareMin) {
    const predicted = predictedHitRate === null ? '' : `, ${percent(predictedHitRate)} predicted`;
    return <Figure name={name + predicted} value={percent(prefixHitRate)} />;
  }
  return (
    <Figure
      name={`${name}, predicted; engines told of ${percent(toldShare)} of requests`}
      value={percent(predictedHitRate)}
      title="Streams bring their usage if the client asks for it, or for all with the setting injectUsage."
    />
  );
}

interface FigureProps {
  readonly name: string;
  readonly value: ComponentChildren;
  readonly level?: Level;
  readonly link?: string;
  readonly title?: string;
}

function Figure({ name, value, level, link, title }: FigureProps) {
  return (
    <div class="figure" title={title}>
      <dt>{link === undefined ? name : <a href={link}>{name}</a>}</dt>
      <dd>
        {level !== undefined && <StateMark level={level} />}
        <span>{value}</span>
      </dd>
    </div>
  );
}

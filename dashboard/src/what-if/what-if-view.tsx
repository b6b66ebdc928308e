// What if: another policy on the traffic of the last minutes, beside what happened.

import { useEffect, useState } from 'preact/hooks';
import { usePage } from '../context.ts';
import type { WhatIf, WhatIfFigures, WhatIfResult } from '../data.ts';
import { clock, count, duration, percent, plural, times } from '../format.ts';
import { api } from '../live/api.ts';
import { useStore } from '../live/store.ts';
import { StateMark } from '../state-mark.tsx';

export function WhatIfView() {
  const { store } = usePage();
  const state = useStore(store, ({ whatIf }) => whatIf);
  const [fault, setFault] = useState<string | null>(null);
  useEffect(() => {
    api.whatIf().then(
      (whatIf) => store.change({ whatIf }),
      (error: Error) => setFault(error.message),
    );
  }, [store]);
  if (state === null) return <p class="empty">{fault ?? 'Loading'}</p>;
  if (state.kind === 'off') return <NoRecording howTo={state.howTo} />;
  return (
    <div class="stack">
      <Form state={state} onFault={setFault} />
      {fault !== null && <p class="bad">{fault}</p>}
      {state.kind === 'failed' && <p class="panel bad">{state.message}</p>}
      {state.kind === 'running' && (
        <div class="panel">
          <StateMark
            level="busy"
            word={`Replaying the last ${state.request.minutes} minutes under ${state.request.policy}. Your traffic does not notice.`}
          />
          <progress aria-label="The replay runs" />
        </div>
      )}
      {state.kind === 'done' && <Result result={state.result} />}
      {state.kind === 'idle' && (
        <p class="empty">
          Choose a policy. Its choices on your own traffic are simulated, with engines as fast as yours have been.
        </p>
      )}
    </div>
  );
}

function NoRecording({ howTo }: { readonly howTo: string }) {
  return (
    <div class="empty">
      <h2>What would another policy have done?</h2>
      <p>This needs a recording of your traffic: block hashes and lengths, never text. {howTo}</p>
    </div>
  );
}

interface FormProps {
  readonly state: Exclude<WhatIf, { readonly kind: 'off' }>;
  readonly onFault: (fault: string | null) => void;
}

function Form({ state, onFault }: FormProps) {
  const { store } = usePage();
  const mayAct = useStore(store, ({ session }) => session?.mayAct === true);
  const inForce = useStore(store, ({ snapshot }) => snapshot?.router.policy ?? '');
  const [chosen, setPolicy] = useState(state.kind === 'idle' ? '' : askedOf(state));
  // The policy in force would only be compared with itself.
  const policy = chosen === '' ? (state.policies.find((name) => name !== inForce) ?? '') : chosen;
  const [minutes, setMinutes] = useState(Math.min(10, state.minutesMax));
  const ask = async (event: Event): Promise<void> => {
    event.preventDefault();
    onFault(null);
    try {
      store.change({ whatIf: await api.askWhatIf(policy, minutes), said: 'The replay runs' });
    } catch (error) {
      onFault(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <form class="panel ask" onSubmit={(event) => void ask(event)}>
      <h2>What would another policy have done?</h2>
      <div class="row">
        <label>
          <span class="soft">Policy</span>
          <select value={policy} onChange={(event) => setPolicy(event.currentTarget.value)}>
            {state.policies.map((name) => (
              <option key={name} value={name}>
                {name === inForce ? `${name} (in force)` : name}
              </option>
            ))}
          </select>
        </label>
        <label>
          <span class="soft">Last minutes</span>
          <input
            type="number"
            min={1}
            max={state.minutesMax}
            value={minutes}
            onInput={(event) => setMinutes(event.currentTarget.valueAsNumber)}
          />
        </label>
        <button type="submit" class="primary" disabled={!mayAct || state.kind === 'running'}>
          {state.kind === 'running' ? 'Running' : 'Replay'}
        </button>
      </div>
      {!mayAct && <p class="faint">This needs the admin key.</p>}
    </form>
  );
}

function askedOf(state: Exclude<WhatIf, { readonly kind: 'off' | 'idle' }>): string {
  return state.kind === 'done' ? state.result.request.policy : state.request.policy;
}

const columns: readonly {
  readonly title: string;
  readonly of: (figures: WhatIfFigures) => number | null;
  readonly format: (value: number | null) => string;
  /** Which way is better. */
  readonly better: 'lower' | 'higher';
}[] = [
  { title: 'TTFT mean', of: ({ ttftMeanMs }) => ttftMeanMs, format: duration, better: 'lower' },
  { title: 'p50', of: ({ ttftP50Ms }) => ttftP50Ms, format: duration, better: 'lower' },
  { title: 'p90', of: ({ ttftP90Ms }) => ttftP90Ms, format: duration, better: 'lower' },
  { title: 'p99', of: ({ ttftP99Ms }) => ttftP99Ms, format: duration, better: 'lower' },
  { title: 'from cache', of: ({ prefixHitRate }) => prefixHitRate, format: percent, better: 'higher' },
  { title: 'imbalance', of: ({ imbalance }) => imbalance, format: times, better: 'lower' },
];

function Result({ result }: { readonly result: WhatIfResult }) {
  const { verdict, happened, baseline, asked, fromMs, toMs, requests, notes, tookMs } = result;
  const most = Math.max(1, ...[happened, baseline, asked].map(({ ttftMeanMs }) => ttftMeanMs ?? 0));
  return (
    <section class="panel" aria-labelledby="result">
      <h2 id="result" class="why">
        {verdict}
      </h2>
      <p class="faint">
        {plural(requests, 'request')} from {clock(fromMs)} to {clock(toMs)}, replayed in {duration(tookMs)}. Compare the
        last two rows: they ran in the same simulated engines.
      </p>
      <div class="scroll">
        <table class="what-if">
          <thead>
            <tr>
              <th scope="col">Run</th>
              <th scope="col" class="wide">
                <span class="hidden">TTFT mean as a bar</span>
              </th>
              {columns.map(({ title }) => (
                <th key={title} scope="col" class="number">
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            <Row figures={happened} most={most} against={null} kind="happened" />
            <Row figures={baseline} most={most} against={null} kind="baseline" />
            <Row figures={asked} most={most} against={baseline} kind="asked" />
          </tbody>
        </table>
      </div>
      <ul class="notes faint">
        {notes.map((note) => (
          <li key={note}>{note}</li>
        ))}
      </ul>
    </section>
  );
}

interface RowProps {
  readonly figures: WhatIfFigures;
  readonly most: number;
  /** Row that this one is compared with. */
  readonly against: WhatIfFigures | null;
  readonly kind: 'happened' | 'baseline' | 'asked';
}

function Row({ figures, most, against, kind }: RowProps) {
  return (
    <tr class={kind}>
      <th scope="row">
        {figures.label}
        <small class="faint">
          {' '}
          {figures.policy}, {count(figures.requests)}
        </small>
      </th>
      <td class="wide">
        <span class="amount-bar" aria-hidden="true">
          <span style={{ width: `${(100 * (figures.ttftMeanMs ?? 0)) / most}%` }} />
        </span>
      </td>
      {columns.map(({ title, of, format, better }) => (
        <td key={title} class="number">
          {format(of(figures))}
          {against !== null && <Change now={of(figures)} before={of(against)} better={better} />}
        </td>
      ))}
    </tr>
  );
}

interface ChangeProps {
  readonly now: number | null;
  readonly before: number | null;
  readonly better: 'lower' | 'higher';
}

/** Says the change in words of direction too, not only in colour. */
function Change({ now, before, better }: ChangeProps) {
  if (now === null || before === null || before === 0) return null;
  const share = now / before - 1;
  if (Math.abs(share) < 0.005) return <small class="change faint">same</small>;
  const isBetter = share < 0 === (better === 'lower');
  return (
    <small class={isBetter ? 'change well' : 'change bad'}>
      {share > 0 ? '▲' : '▼'} {percent(Math.abs(share))} {isBetter ? 'better' : 'worse'}
    </small>
  );
}

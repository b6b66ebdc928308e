// The last five minutes or the last hour, of the fleet or of one worker.

import { useState } from 'preact/hooks';
import { TimeChart } from '../charts/time-chart.tsx';
import type { History, Span } from '../data.ts';
import { duration, percent, short } from '../format.ts';
import { api } from '../live/api.ts';
import { useFetched } from '../live/use-fetched.ts';

const everyMs: Readonly<Record<Span, number>> = { fine: 2000, coarse: 10_000 };

/** @param worker null: of the fleet */
export function HistoryCharts({ worker }: { readonly worker: string | null }) {
  const [span, setSpan] = useState<Span>('fine');
  const { data, fault } = useFetched(`${span}/${worker}`, everyMs[span], () => api.history(span, worker));
  return (
    <section class="panel history" aria-labelledby="history">
      <header>
        <h2 id="history">{span === 'fine' ? 'Last 5 minutes' : 'Last hour'}</h2>
        <SpanChoice span={span} onChoose={setSpan} />
      </header>
      {data === null ? <p class="faint">{fault ?? 'Loading'}</p> : <Charts history={data} />}
    </section>
  );
}

function Charts({ history: { series, endMs, stepMs } }: { readonly history: History }) {
  const time = { endMs, stepMs, height: 128 };
  return (
    <div class="charts">
      <TimeChart
        {...time}
        title="Requests per second"
        format={short}
        lines={[{ name: 'requests/s', values: series.requestsPerS, colour: '--shared' }]}
      />
      <TimeChart
        {...time}
        title="Time to first token, median"
        format={duration}
        lines={[{ name: 'TTFT', values: series.ttftP50Ms, colour: '--accent' }]}
      />
      <TimeChart
        {...time}
        title="Gap between tokens, median"
        format={duration}
        lines={[{ name: 'ITL', values: series.itlMs, colour: '--others' }]}
      />
      <TimeChart
        {...time}
        title="KV blocks in use"
        format={percent}
        lines={[{ name: 'in use', values: series.usage, colour: '--output' }]}
      />
    </div>
  );
}

export function SpanChoice({ span, onChoose }: { readonly span: Span; readonly onChoose: (span: Span) => void }) {
  return (
    <fieldset class="choice">
      <legend class="hidden">Time shown</legend>
      {(['fine', 'coarse'] as const).map((value) => (
        <label key={value} class={value === span ? 'chosen' : ''}>
          <input type="radio" name="span" checked={value === span} onChange={() => onChoose(value)} />
          {value === 'fine' ? '5 min' : '1 hour'}
        </label>
      ))}
    </fieldset>
  );
}

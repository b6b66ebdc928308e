// Truth: what was predicted against what came, where tokens were missed, and what the engines' behaviour reveals.

import { useState } from 'preact/hooks';
import { type ChartLine, TimeChart } from '../charts/time-chart.tsx';
import type { Span, TrustSummary, Truth } from '../data.ts';
import { Findings } from '../findings.tsx';
import { SpanChoice } from '../fleet/history-charts.tsx';
import { duration, percent, plural, short } from '../format.ts';
import { api } from '../live/api.ts';
import { useFetched } from '../live/use-fetched.ts';
import { type Level, StateMark } from '../state-mark.tsx';
import { fates } from '../words.ts';
import { Fates } from './fates.tsx';
import { WorkersTruth } from './workers-truth.tsx';

const everyMs = 4000;

const levels: Readonly<Record<TrustSummary['level'], readonly [Level, string]>> = {
  good: ['well', 'The view can be trusted.'],
  warning: ['warn', 'The view can be trusted with care.'],
  bad: ['bad', 'The view cannot be trusted now.'],
};

const missed = fates.filter((fate) => fate.key !== 'cachedTokens');

export function TruthView() {
  const [span, setSpan] = useState<Span>('fine');
  const { data, fault } = useFetched(span, everyMs, () => api.truth(span));
  if (data === null) return <p class="empty">{fault ?? 'Loading'}</p>;
  return (
    <div class="stack">
      <Verdict truth={data} />
      <section class="panel history" aria-labelledby="over-time">
        <header>
          <h2 id="over-time">Predicted against what came</h2>
          <SpanChoice span={span} onChoose={setSpan} />
        </header>
        <Charts truth={data} />
      </section>
      <Fates totals={data.totals} />
      <WorkersTruth workers={data.workers} />
    </div>
  );
}

function Verdict({ truth: { verdict, totals, findings } }: { readonly truth: Truth }) {
  const [level, word] = levels[verdict.level];
  const checked = totals.exact + totals.over + totals.under;
  return (
    <section class="panel verdict" aria-labelledby="verdict">
      <h2 id="verdict">
        <StateMark level={level} word={word} />
      </h2>
      <p class="why">{verdict.text}</p>
      <dl class="figures big-figures">
        <Figure
          name="predictions of cached tokens exact"
          value={percent(checked === 0 ? null : totals.exact / checked)}
          more={checked === 0 ? 'no engine has reported cached tokens yet' : `of ${plural(checked, 'request')}`}
        />
        <Figure
          name="cached tokens predicted"
          value={short(totals.predictedCachedTokens)}
          more={`${short(totals.cachedTokens)} came`}
        />
        <Figure
          name="mean error of predicted TTFT"
          value={percent(totals.ttftErrorShare)}
          more={
            totals.ttftRequests === 0
              ? 'this policy predicts none'
              : `of ${plural(totals.ttftRequests, 'request')}${biasOf(totals.ttftBiasShare)}`
          }
        />
        <Figure name="mean regret in hindsight" value={duration(totals.regretMs)} more="against the best worker" />
      </dl>
      {totals.tokenMismatches > 0 && (
        <p class="warn">
          {plural(totals.tokenMismatches, 'prompt')} had another number of tokens at the engine: the tokenizers differ.
        </p>
      )}
      <h3>Findings</h3>
      {findings.length === 0 ? (
        <StateMark level="well" word="No fault was found by the canaries, nor by live traffic." />
      ) : (
        <Findings findings={findings} />
      )}
    </section>
  );
}

function biasOf(share: number | null): string {
  if (share === null || Math.abs(share) < 0.02) return '';
  return `, ${percent(Math.abs(share))} too ${share > 0 ? 'long' : 'short'} on average`;
}

function Figure({ name, value, more }: { readonly name: string; readonly value: string; readonly more: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value} <small>{more}</small>
      </dd>
    </div>
  );
}

function Charts({ truth }: { readonly truth: Truth }) {
  const { endMs, stepMs, promptTokens, predictedCachedTokens, actualCachedTokens, misses } = truth;
  const time = { endMs, stepMs, height: 170 };
  const share = (tokens: readonly (number | null)[]): (number | null)[] =>
    tokens.map((value, at) => (value === null || !promptTokens[at] ? null : value / promptTokens[at]));
  const cached: ChartLine[] = [
    { name: 'came', values: share(actualCachedTokens), colour: '--shared' },
    { name: 'predicted', values: share(predictedCachedTokens), colour: '--text', dashed: true },
  ];
  return (
    <div class="charts three-charts">
      <TimeChart
        {...time}
        title="Share of prompt tokens from cache"
        note="Where the dashed line covers the other, every prediction was right."
        format={percent}
        top={1}
        lines={cached}
      />
      <TimeChart
        {...time}
        title="Prompt tokens that missed the cache, by kind"
        note="Share of all prompt tokens. The kinds are explained below."
        format={percent}
        stacked
        lines={missed.map(({ key, name, colour }) => ({ name, values: share(misses[key]), colour }))}
      />
      <TimeChart
        {...time}
        title="Error of predicted TTFT"
        note="Error: mean of |predicted - actual| / actual. Bias: the same with its sign; above 0 is predicted too long."
        format={percent}
        signed
        lines={[
          { name: 'error', values: truth.ttftErrorShare, colour: '--output' },
          { name: 'bias', values: truth.ttftBiasShare, colour: '--others', dashed: true },
        ]}
      />
    </div>
  );
}

// Every candidate of one choice: what it would have cost and of which parts, the cheapest first.

import { useState } from 'preact/hooks';
import { useNames } from '../context.ts';
import type { CandidateState, DecisionInFull } from '../data.ts';
import { count, duration, factor, nothing, percent, short, times } from '../format.ts';
import { linkTo } from '../route.ts';
import { type CostBar, costBar } from './cost-bars.ts';

/** More are folded away. */
const shownMax = 12;
/** Bars end at this many times the lowest cost. */
const cutAt = 12;

export function Candidates({ decision }: { readonly decision: DecisionInFull }) {
  const { all, promptTokens, costUnit } = decision;
  const [isWhole, setIsWhole] = useState(false);
  const sorted = all.toSorted(byCost);
  const hasCost = all.some(({ cost }) => cost !== null && cost > 0);
  const shown = isWhole ? sorted : sorted.filter(({ chosen }, at) => at < shownMax || chosen);
  const bars = shown.map(costBar);
  const most = axisEnd(shown);
  return (
    <section class="candidates" aria-labelledby="candidates">
      <header class="row">
        <h3 id="candidates">
          {hasCost ? 'What each worker would have cost' : 'The workers at that moment'}
          {hasCost && <span class="faint"> in {costUnit}; the lowest wins</span>}
        </h3>
        {hasCost && <PartLegend bar={bars[0]!} />}
      </header>
      {!hasCost && <p class="soft">This policy does not compare costs.</p>}
      <div class="scroll">
        <table class="cost-table">
          <caption class="hidden">Candidates of this choice, the cheapest first</caption>
          <thead>
            <tr>
              <th scope="col">Worker</th>
              {hasCost && (
                <>
                  <th scope="col" class="wide">
                    Cost
                  </th>
                  <th scope="col" class="number">
                    / lowest
                  </th>
                </>
              )}
              {['holds', 'computes', 'waits', 'requests', 'KV full', 'TTFT'].map((title) => (
                <th key={title} scope="col" class="number">
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((candidate, at) => (
              <Row
                key={candidate.worker}
                candidate={candidate}
                bar={hasCost ? bars[at]! : null}
                most={most}
                promptTokens={promptTokens}
              />
            ))}
          </tbody>
        </table>
      </div>
      <p class="faint">
        {hasCost && factorsText(bars[0]!)}
        Holds: prompt tokens in its cache or promised to it. Computes: the rest. Waits: the time until what is booked
        there is computed. KV full and TTFT: as predicted with this request.
      </p>
      {sorted.length > shownMax && (
        <button type="button" onClick={() => setIsWhole(!isWhole)}>
          {isWhole ? `Only the ${shownMax} cheapest` : `All ${sorted.length} candidates`}
        </button>
      )}
    </section>
  );
}

interface RowProps {
  readonly candidate: CandidateState;
  readonly bar: CostBar | null;
  readonly most: number;
  readonly promptTokens: number;
}

function Row({ candidate, bar, most, promptTokens }: RowProps) {
  const nameOf = useNames();
  const { worker, chosen, cost, relativeCost, overlapTokens, backlogMs, kvUsage } = candidate;
  return (
    <tr class={chosen ? 'chosen' : ''}>
      <th scope="row">
        <span class="winner">
          {chosen && (
            <>
              <svg viewBox="0 0 10 12" width="9" height="11" aria-hidden="true">
                <path d="M0 0l10 6-10 6z" fill="currentColor" />
              </svg>
              <span class="hidden">chosen: </span>
            </>
          )}
        </span>
        <a href={linkTo('fleet', worker)}>{nameOf(worker)}</a>
      </th>
      {bar !== null && (
        <>
          <td class="wide">
            <CostBarCell bar={bar} cost={cost} most={most} />
          </td>
          <td class="number strong">{relativeCost === null ? short(cost) : times(relativeCost)}</td>
        </>
      )}
      <td class="number">
        <span title={percent(promptTokens > 0 ? overlapTokens / promptTokens : null)}>{count(overlapTokens)}</span>
      </td>
      <td class="number">{count(candidate.uncachedTokens)}</td>
      <td class="number">{backlogMs === null ? `${short(candidate.activePrefillTokens)} tok` : duration(backlogMs)}</td>
      <td class="number">{count(candidate.runningRequests)}</td>
      <td class="number">{kvUsage === null ? nothing : percent(kvUsage)}</td>
      <td class="number">{duration(candidate.ttftMs)}</td>
    </tr>
  );
}

interface CellProps {
  readonly bar: CostBar;
  readonly cost: number | null;
  readonly most: number;
}

function CostBarCell({ bar, cost, most }: CellProps) {
  const text = explain(bar, cost);
  return (
    <>
      <div class={finite(cost) > most ? 'cost-bar cut' : 'cost-bar'} title={text} role="img" aria-label={text}>
        {bar.parts.map(({ name, value, colour }) => (
          <span
            key={name}
            style={{ flexBasis: `${most > 0 ? (100 * value) / most : 0}%`, background: `var(${colour})` }}
          />
        ))}
      </div>
      {bar.factors.length > 0 && (
        <span class="factors faint" aria-hidden="true">
          {bar.factors.map(({ name, value }) => (
            <span key={name}>× {factor(value)}</span>
          ))}
        </span>
      )}
    </>
  );
}

function PartLegend({ bar }: { readonly bar: CostBar }) {
  return (
    <ul class="legend" aria-label="Parts of the cost">
      {bar.parts.map(({ name, label, colour }) => (
        <li key={name}>
          <span class="swatch-box" style={{ background: `var(${colour})` }} />
          {label}
        </li>
      ))}
    </ul>
  );
}

/** What the numbers below the bars are. */
function factorsText({ factors }: CostBar): string {
  if (factors.length === 0) return '';
  return `A bar is the sum of its parts, × ${factors.map(({ label }) => label).join(', × ')}. `;
}

function explain({ parts, factors }: CostBar, cost: number | null): string {
  const sum = parts.map(({ label, own, unit }) => `${label} ${short(own)} ${unit}`.trim()).join(' + ');
  const product = factors.map(({ label, value }) => ` × ${label} ${factor(value)}`).join('');
  return `cost ${short(cost)} = ${product === '' ? sum : `(${sum})${product}`}`;
}

function byCost(a: CandidateState, b: CandidateState): number {
  const difference = (a.cost ?? Number.POSITIVE_INFINITY) - (b.cost ?? Number.POSITIVE_INFINITY);
  return Number.isNaN(difference) || difference === 0 ? Number(b.chosen) - Number(a.chosen) : difference;
}

/** Costs may differ by hundreds: the bars of the dearest are cut, so that the cheapest can be compared. */
function axisEnd(candidates: readonly CandidateState[]): number {
  const costs = candidates.map(({ cost }) => finite(cost)).filter((cost) => cost > 0);
  if (costs.length === 0) return 0;
  return Math.min(Math.max(...costs), cutAt * Math.min(...costs));
}

function finite(cost: number | null): number {
  return cost !== null && Number.isFinite(cost) ? cost : 0;
}

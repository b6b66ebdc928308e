// What was predicted of a request beside what came, as pairs of bars on one scale.

import type { DecisionInFull } from '../data.ts';
import { count, duration, percent } from '../format.ts';
import { StateMark } from '../state-mark.tsx';

export function Compared({ decision }: { readonly decision: DecisionInFull }) {
  const { promptTokens, predictedCachedTokens, actualCachedTokens, predictedTtftMs, actualTtftMs, surprise } = decision;
  return (
    <div class="compared">
      <Pair
        title="Prompt tokens from cache"
        isSurprise={surprise === 'cache' || surprise === 'both'}
        predicted={predictedCachedTokens}
        actual={actualCachedTokens}
        whole={promptTokens}
        format={(tokens) => `${count(tokens)} of ${count(promptTokens)}, ${percent(tokens / promptTokens)}`}
      />
      <Pair
        title="Time to first token"
        isSurprise={surprise === 'ttft' || surprise === 'both'}
        predicted={predictedTtftMs}
        actual={actualTtftMs}
        whole={Math.max(predictedTtftMs ?? 0, actualTtftMs ?? 0)}
        format={duration}
      />
    </div>
  );
}

interface PairProps {
  readonly title: string;
  readonly isSurprise: boolean;
  readonly predicted: number | null;
  readonly actual: number | null;
  readonly whole: number;
  readonly format: (value: number) => string;
}

function Pair({ title, isSurprise, predicted, actual, whole, format }: PairProps) {
  const width = (value: number | null): string => `${value === null || whole === 0 ? 0 : (100 * value) / whole}%`;
  return (
    <div class="pair">
      <h3>
        {title} {isSurprise && <StateMark level="warn" word="not as predicted" />}
      </h3>
      <dl>
        <dt>predicted</dt>
        <dd>
          <span class="pair-bar predicted" aria-hidden="true">
            <span style={{ width: width(predicted) }} />
          </span>
          {predicted === null ? 'nothing' : format(predicted)}
        </dd>
        <dt>came</dt>
        <dd>
          <span class="pair-bar" aria-hidden="true">
            <span style={{ width: width(actual) }} />
          </span>
          {actual === null ? 'not known' : format(actual)}
        </dd>
      </dl>
    </div>
  );
}

// Where the prompt tokens went since the start: found in a cache, or missed, and for which reason.

import { StackedBar } from '../charts/stacked-bar.tsx';
import type { TruthTotals } from '../data.ts';
import { count, percent, short } from '../format.ts';
import { fates } from '../words.ts';

export function Fates({ totals }: { readonly totals: TruthTotals }) {
  const parts = fates.map(({ key, name, colour }) => ({ name, value: totals[key], colour }));
  const whole = parts.reduce((sum, { value }) => sum + value, 0);
  const label = parts.map(({ name, value }) => `${name} ${percent(whole === 0 ? null : value / whole)}`).join(', ');
  return (
    <section class="panel" aria-labelledby="fates">
      <h2 id="fates">Where the prompt tokens went</h2>
      {whole === 0 ? (
        <p class="faint">No engine has reported cached tokens yet. Streams report them with --inject-usage.</p>
      ) : (
        <>
          <StackedBar parts={parts} whole={whole} label={label} />
          <dl class="fates">
            {fates.map(({ key, name, meaning, colour }) => (
              <div key={key}>
                <dt>
                  <span class="swatch-box" style={{ background: `var(${colour})` }} />
                  {name}
                </dt>
                <dd>
                  <strong>{percent(totals[key] / whole)}</strong>
                  <span class="soft" title={count(totals[key])}>
                    {short(totals[key])} tokens
                  </span>
                  <p class="faint">{meaning}</p>
                </dd>
              </div>
            ))}
          </dl>
          {totals.surplusTokens > 0 && (
            <p class="faint">
              {short(totals.surplusTokens)} tokens were found in caches although the router did not know of them.
            </p>
          )}
        </>
      )}
    </section>
  );
}

// Imbalance at a glance: one column a worker, and a line at the mean.

import type { FleetState, WorkerState } from '../data.ts';
import { percent, times } from '../format.ts';
import { linkTo } from '../route.ts';
import { isDown } from '../words.ts';
import { blockParts, usageOf } from './loads.ts';

interface Props {
  readonly workers: readonly WorkerState[];
  readonly fleet: FleetState;
  readonly nameOf: (id: string) => string;
}

/** Below this share of the blocks in use, imbalance does no harm. */
const idleShare = 0.15;
/** More columns have no names, and are sorted, so that their outline shows how even the load is. */
const namedMax = 12;

export function Balance({ workers, fleet, nameOf }: Props) {
  const isDense = workers.length > namedMax;
  const known = workers.filter(({ load }) => load !== null);
  const joined = isDense ? known.toSorted((a, b) => usageOf(b) - usageOf(a)) : known;
  const usages = joined.map(usageOf);
  const mean = usages.reduce((sum, usage) => sum + usage, 0) / Math.max(1, usages.length);
  const top = Math.max(0.05, ...usages) * 1.08;
  const { imbalance } = fleet;
  return (
    <section class="panel balance" aria-labelledby="balance">
      <header>
        <h2 id="balance">Balance</h2>
        <p class="soft">{verdictOf(imbalance, Math.max(0, ...usages))}</p>
      </header>
      <ol class={isDense ? 'columns dense' : 'columns'} aria-label="KV blocks in use, by worker">
        {joined.map((worker, at) => {
          const usage = usages[at]!;
          const name = nameOf(worker.id);
          return (
            <li key={worker.id} class={isDown(worker) ? 'down' : ''}>
              <a
                href={linkTo('fleet', worker.id)}
                aria-label={`${name}: ${percent(usage)} of its KV blocks`}
                title={`${name}: ${percent(usage)}`}
              >
                <span class="column" style={{ height: `${(100 * usage) / top}%` }}>
                  {blockParts(worker).parts.map(({ name: part, value, colour }) => (
                    <span key={part} style={{ flexGrow: value, background: `var(${colour})` }} />
                  ))}
                </span>
                {!isDense && <span class="name">{name}</span>}
              </a>
            </li>
          );
        })}
        {mean > 0 && (
          <li class="mean" aria-hidden="true">
            <span class="mean-line" style={{ bottom: `${(100 * mean) / top}%` }}>
              <span>mean {percent(mean)}</span>
            </span>
          </li>
        )}
      </ol>
    </section>
  );
}

function verdictOf(imbalance: number | null, fullest: number): string {
  if (imbalance === null) return 'Nothing is in flight.';
  if (fullest < idleShare) return `Little is in use: at most ${percent(fullest)} of a worker's blocks.`;
  if (imbalance < 1.25) return `Even: the busiest worker has ${times(imbalance)} the mean.`;
  if (imbalance < 2) return `Fairly even: the busiest worker has ${times(imbalance)} the mean.`;
  return `Uneven: the busiest worker has ${times(imbalance)} the mean.`;
}

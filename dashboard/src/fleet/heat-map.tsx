// Many workers as one picture: a cell each, coloured by a figure; a cell opens the worker's card.

import { useRef, useState } from 'preact/hooks';
import type { WorkerState } from '../data.ts';
import { duration, percent, short, times } from '../format.ts';
import { linkTo } from '../route.ts';
import { isDown, stateOf } from '../words.ts';
import { isSlow, usageOf } from './loads.ts';

interface Measure {
  readonly title: string;
  readonly of: (worker: WorkerState) => number | null;
  readonly format: (value: number | null) => string;
  /** Value of the hottest colour; null: the highest of all. */
  readonly top: number | null;
}

const measures: Readonly<Record<string, Measure>> = {
  usage: { title: 'KV in use', of: usageOf, format: percent, top: 1 },
  prefill: { title: 'prefill waiting', of: ({ load }) => load?.activePrefillTokens ?? null, format: short, top: null },
  requests: { title: 'requests', of: ({ load }) => load?.runningRequests ?? null, format: short, top: null },
  ttft: { title: 'TTFT', of: ({ rates }) => rates?.ttftP50Ms ?? null, format: duration, top: null },
  slowness: { title: 'slowness', of: ({ speed }) => speed?.slowness ?? null, format: times, top: 3 },
};

const steps = 6;
const arrows: Readonly<Record<string, number>> = { ArrowLeft: -1, ArrowRight: 1 };

interface Props {
  readonly workers: readonly WorkerState[];
  readonly nameOf: (id: string) => string;
  readonly opened: string | null;
}

export function HeatMap({ workers, nameOf, opened }: Props) {
  const [chosen, setChosen] = useState('usage');
  const measure = measures[chosen]!;
  const values = workers.map(measure.of);
  const top = measure.top ?? Math.max(1e-9, ...values.map((value) => value ?? 0));
  const grid = useRef<HTMLOListElement>(null);
  const move = (event: KeyboardEvent): void => {
    const cells = [...grid.current!.querySelectorAll('a')];
    const at = cells.indexOf(document.activeElement as HTMLAnchorElement);
    if (at < 0) return;
    const width = cells.filter(({ offsetTop }) => offsetTop === cells[0]!.offsetTop).length;
    const step = arrows[event.key] ?? (event.key === 'ArrowDown' ? width : event.key === 'ArrowUp' ? -width : 0);
    if (step === 0) return;
    event.preventDefault();
    cells[Math.max(0, Math.min(cells.length - 1, at + step))]!.focus();
  };
  return (
    <section class="panel heat" aria-labelledby="heat">
      <header>
        <h2 id="heat">{workers.length} workers</h2>
        <label>
          <span class="soft">Colour by</span>{' '}
          <select value={chosen} onChange={(event) => setChosen(event.currentTarget.value)}>
            {Object.entries(measures).map(([name, { title }]) => (
              <option key={name} value={name}>
                {title}
              </option>
            ))}
          </select>
        </label>
        <Scale top={measure.format(top)} />
      </header>
      <ol ref={grid} class={workers.length > 100 ? 'cells dense' : 'cells'} onKeyDown={move}>
        {workers.map((worker, at) => (
          <Cell
            key={worker.id}
            worker={worker}
            name={nameOf(worker.id)}
            value={values[at]!}
            text={measure.format(values[at]!)}
            step={stepOf(values[at]!, top)}
            isOpen={worker.id === opened}
          />
        ))}
      </ol>
    </section>
  );
}

interface CellProps {
  readonly worker: WorkerState;
  readonly name: string;
  readonly value: number | null;
  readonly text: string;
  readonly step: number;
  readonly isOpen: boolean;
}

function Cell({ worker, name, text, step, isOpen }: CellProps) {
  const [level, word] = stateOf(worker);
  const down = isDown(worker);
  const mark = down
    ? '✕'
    : level === 'warn'
      ? '▲'
      : level === 'off'
        ? '◐'
        : level === 'busy'
          ? '○'
          : isSlow(worker)
            ? '▼'
            : '';
  return (
    <li>
      <a
        href={linkTo('fleet', isOpen ? null : worker.id)}
        class={down ? 'cell down' : `cell heat-${step}`}
        aria-label={`${name}: ${word}, ${text}`}
        aria-current={isOpen ? 'true' : undefined}
        data-worker={worker.id}
        title={`${worker.id}: ${word}, ${text}`}
      >
        <span class="cell-name">{name}</span>
        <strong>{down ? word : text}</strong>
        {mark !== '' && <span class="cell-mark">{mark}</span>}
      </a>
    </li>
  );
}

function Scale({ top }: { readonly top: string }) {
  return (
    <p class="scale faint" aria-hidden="true">
      0
      {Array.from({ length: steps }, (_, step) => (
        <span key={step} class={`heat-${step}`} />
      ))}
      {top}
    </p>
  );
}

function stepOf(value: number | null, top: number): number {
  return value === null ? 0 : Math.max(0, Math.min(steps - 1, Math.floor((value / top) * steps)));
}

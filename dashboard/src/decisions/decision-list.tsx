// The stream of choices as a list: only the rows in view are in the document, however many there are.

import { useEffect, useRef, useState } from 'preact/hooks';
import { useNames } from '../context.ts';
import type { DecisionShort } from '../data.ts';
import { clock, count, duration, percent } from '../format.ts';
import { StateMark } from '../state-mark.tsx';
import { outcomeOf, reasonOf, surpriseOf } from '../words.ts';
import { type DecisionFilter, linkWith } from './filter.ts';

/** As in the style sheet. */
const rowPixels = 58;
const spareRows = 6;

interface Props {
  readonly rows: readonly DecisionShort[];
  readonly filter: DecisionFilter;
  readonly opened: string | null;
}

export function DecisionList({ rows, filter, opened }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [from, setFrom] = useState(0);
  const [height, setHeight] = useState(600);
  const { shown, fresh, release } = useHeld(rows, box);
  useEffect(() => {
    const element = box.current!;
    const watch = new ResizeObserver(() => setHeight(element.clientHeight));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  const first = Math.max(0, Math.min(Math.floor(from / rowPixels) - spareRows, shown.length - 1));
  const last = Math.min(shown.length, Math.ceil((from + height) / rowPixels) + spareRows);
  const move = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    const at = Number((document.activeElement as HTMLElement | null)?.dataset['at'] ?? -1);
    if (step === 0 || at < 0) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(shown.length - 1, at + step));
    box.current!.querySelector<HTMLElement>(`[data-at="${next}"]`)?.focus();
  };
  return (
    <div class="stream">
      {fresh > 0 && (
        <button type="button" class="primary fresh" onClick={release}>
          {count(fresh)} newer
        </button>
      )}
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset is for fields of a form */}
      <div
        ref={box}
        class="rows"
        onScroll={() => setFrom(box.current!.scrollTop)}
        onKeyDown={move}
        role="group"
        aria-label="Decisions, newest first. Arrow keys move, Enter opens."
      >
        <ol style={{ height: `${shown.length * rowPixels}px` }}>
          {shown.slice(first, last).map((row, index) => (
            <Row
              key={row.seq}
              row={row}
              at={first + index}
              total={shown.length}
              link={linkWith(filter, row.requestId)}
              isOpen={row.requestId === opened}
            />
          ))}
        </ol>
      </div>
    </div>
  );
}

/** Holds the rows still while someone reads further down or has the focus in the list. */
function useHeld(rows: readonly DecisionShort[], box: { readonly current: HTMLDivElement | null }) {
  const held = useRef<readonly DecisionShort[] | null>(null);
  const [, redraw] = useState(0);
  const hasFocus = box.current?.contains(document.activeElement) === true;
  const isReading = hasFocus || (box.current?.scrollTop ?? 0) > rowPixels / 2;
  if (!isReading) held.current = null;
  else held.current ??= rows;
  const newest = held.current === null ? null : new Map(rows.map((row) => [row.seq, row]));
  const top = held.current?.[0]?.seq ?? Number.POSITIVE_INFINITY;
  const release = (): void => {
    held.current = null;
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    box.current?.scrollTo(0, 0);
    redraw((value) => value + 1);
  };
  return {
    // Rows that stay where they are still show what became of them.
    shown: held.current?.map((row) => newest?.get(row.seq) ?? row) ?? rows,
    fresh: held.current === null ? 0 : rows.filter(({ seq }) => seq > top).length,
    release,
  };
}

interface RowProps {
  readonly row: DecisionShort;
  readonly at: number;
  readonly total: number;
  readonly link: string;
  readonly isOpen: boolean;
}

function Row({ row, at, total, link, isOpen }: RowProps) {
  const nameOf = useNames();
  const { promptTokens, predictedCachedTokens, actualCachedTokens, predictedTtftMs, actualTtftMs, outcome } = row;
  const [level, word] = outcomeOf(outcome);
  const share = promptTokens > 0 ? (actualCachedTokens ?? predictedCachedTokens) / promptTokens : 0;
  return (
    <li style={{ transform: `translateY(${at * rowPixels}px)` }} aria-setsize={total} aria-posinset={at + 1}>
      <a href={link} data-at={at} aria-current={isOpen ? 'true' : undefined} class="row-link">
        <span class="when">
          {clock(row.timeMs)}
          <small class="faint mono">{row.requestId.slice(-8)}</small>
        </span>
        <span class="where">
          <strong>{nameOf(row.worker)}</strong>
          <small class="soft">
            {reasonOf(row.reason)}
            {row.attempt > 1 && <span class="warn"> retry {row.attempt - 1}</span>}
          </small>
        </span>
        <span class="what">
          <span class="cached" aria-hidden="true">
            <span style={{ width: `${100 * share}%` }} />
          </span>
          <small class="soft" title="Share of the prompt that was cached">
            {percent(share)} of {count(promptTokens)}
          </small>
        </span>
        <span class="time">
          <strong>{duration(actualTtftMs)}</strong>
          <small class="soft" title="Time to first token; predicted">
            {predictedTtftMs !== null && `~ ${duration(predictedTtftMs)}`}
          </small>
        </span>
        <span class="how">
          {row.surprise === null || outcome === 'failed' ? (
            <StateMark level={level} word={word} />
          ) : (
            <StateMark level="warn" word={surpriseOf(row.surprise)} />
          )}
        </span>
      </a>
    </li>
  );
}

// Decisions: the live stream, its filters, and one choice in full beside it.

import { useMemo } from 'preact/hooks';
import { usePage } from '../context.ts';
import type { DecisionShort } from '../data.ts';
import { percent, short } from '../format.ts';
import { api } from '../live/api.ts';
import { useStore } from '../live/store.ts';
import { useFetched } from '../live/use-fetched.ts';
import type { Route } from '../route.ts';
import { DecisionDetail } from './decision-detail.tsx';
import { DecisionList } from './decision-list.tsx';
import { type DecisionFilter, isFiltered, linkWith, matches, queryOf, readFilter } from './filter.ts';
import { Filters } from './filters.tsx';

const lookUpMs = 5000;

export function DecisionsView({ route }: { readonly route: Route }) {
  const { store } = usePage();
  const feed = useStore(store, (state) => state.decisions);
  const filter = useMemo(() => readFilter(route.query), [route.query]);
  const rows = useRows(feed.rows, filter);
  return (
    <div class={route.item === null ? 'decisions' : 'decisions with-detail'}>
      <section class="panel list" aria-labelledby="stream">
        <header class="row">
          <h2 id="stream">Decisions</h2>
          {route.item === null && <p class="soft">Open one to see what each worker would have cost, and what came.</p>}
          <p class="faint end">
            {short(feed.perS)}/s{feed.shownShare < 0.99 && `, ${percent(feed.shownShare)} of them shown`}
          </p>
        </header>
        <Filters filter={filter} item={route.item} />
        {rows.length === 0 ? (
          <p class="empty">
            {isFiltered(filter) ? 'No decision in the log matches.' : 'No request has been routed yet.'}
          </p>
        ) : (
          <DecisionList rows={rows} filter={filter} opened={route.item} />
        )}
      </section>
      {route.item !== null && <DecisionDetail requestId={route.item} closeLink={linkWith(filter, null)} />}
    </div>
  );
}

/** The stream's rows; with a filter also older ones of the gateway's log. */
function useRows(live: readonly DecisionShort[], filter: DecisionFilter): readonly DecisionShort[] {
  const filtered = isFiltered(filter);
  const query = filtered ? queryOf(filter) : '';
  const { data } = useFetched(query, lookUpMs, async () =>
    query === '' ? null : (await api.decisions(query)).decisions,
  );
  return useMemo(() => {
    if (!filtered) return live;
    const all = new Map((data ?? []).map((row) => [row.seq, row]));
    for (const row of live) all.set(row.seq, row);
    return [...all.values()].filter((row) => matches(row, filter)).sort((a, b) => b.seq - a.seq);
  }, [live, data, filter, filtered]);
}

// The fleet: what happens now, how even it is, and every worker as a card, or as a cell once there are many.

import { useEffect, useRef, useState } from 'preact/hooks';
import { useNames, usePage } from '../context.ts';
import type { WorkerState } from '../data.ts';
import { useStore } from '../live/store.ts';
import { linkTo, type Route } from '../route.ts';
import { isDown, stateOf } from '../words.ts';
import { Balance } from './balance.tsx';
import { DoctorReport } from './doctor-report.tsx';
import { HeatMap } from './heat-map.tsx';
import { HistoryCharts } from './history-charts.tsx';
import { usageOf } from './loads.ts';
import { RightNow } from './right-now.tsx';
import { BlockLegend, WorkerCard } from './worker-card.tsx';

/** More are shown as cells. */
const cardsMax = 24;

type Order = 'name' | 'busiest' | 'trouble';

export function FleetView({ route }: { readonly route: Route }) {
  const { store } = usePage();
  const snapshot = useStore(store, (state) => state.snapshot);
  const sparklines = useStore(store, (state) => state.sparklines);
  const nameOf = useNames();
  const [order, setOrder] = useState<Order>('name');
  if (snapshot === null) return <p class="empty">Waiting for the gateway.</p>;
  const { workers, fleet } = snapshot;
  if (workers.length === 0) return <NoWorkers />;
  const opened = workers.find(({ id }) => id === route.item) ?? null;
  const sorted = inOrder(workers, order);
  const linesOf = (id: string) => sparklines?.workers[id] ?? null;
  const busiest = fleet.busiest?.worker ?? null;
  const withOthers = workers.some(({ load }) => (load?.otherRoutersBlocks ?? 0) > 0);
  return (
    <div class="stack">
      {opened !== null && (
        <Opened key={opened.id} worker={opened} name={nameOf(opened.id)}>
          <WorkerCard
            worker={opened}
            name={nameOf(opened.id)}
            isBusiest={opened.id === busiest}
            lines={linesOf(opened.id)}
            alone
          />
        </Opened>
      )}
      {opened === null && (
        <div class="two">
          <RightNow />
          <Balance workers={workers} fleet={fleet} nameOf={nameOf} />
        </div>
      )}
      <DoctorReport />
      {workers.length > cardsMax ? (
        <HeatMap workers={sorted} nameOf={nameOf} opened={opened?.id ?? null} />
      ) : (
        opened === null && (
          <section aria-labelledby="workers" class="stack">
            <header class="row">
              <h2 id="workers">Workers</h2>
              <BlockLegend withOthers={withOthers} />
              <OrderChoice order={order} onChoose={setOrder} />
            </header>
            <div class="cards">
              {sorted.map((worker) => (
                <WorkerCard
                  key={worker.id}
                  worker={worker}
                  name={nameOf(worker.id)}
                  isBusiest={worker.id === busiest}
                  lines={linesOf(worker.id)}
                />
              ))}
            </div>
          </section>
        )
      )}
      {opened === null && <HistoryCharts worker={null} />}
    </div>
  );
}

interface OpenedProps {
  readonly worker: WorkerState;
  readonly name: string;
  readonly children: preact.ComponentChildren;
}

/** One worker by itself, with its history. */
function Opened({ worker, name, children }: OpenedProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <section class="opened stack" aria-labelledby="opened">
      <header class="row">
        <h2 id="opened" ref={heading} tabIndex={-1}>
          Worker {name}
        </h2>
        <code class="faint">{worker.id}</code>
        <a class="button end" href={linkTo('fleet')}>
          All workers
        </a>
      </header>
      <div class="opened-parts">
        {children}
        <HistoryCharts worker={worker.id} />
      </div>
    </section>
  );
}

function OrderChoice({ order, onChoose }: { readonly order: Order; readonly onChoose: (order: Order) => void }) {
  return (
    <label class="end">
      <span class="soft">Order</span>{' '}
      <select value={order} onChange={(event) => onChoose(event.currentTarget.value as Order)}>
        <option value="name">by name</option>
        <option value="busiest">busiest first</option>
        <option value="trouble">trouble first</option>
      </select>
    </label>
  );
}

function inOrder(workers: readonly WorkerState[], order: Order): readonly WorkerState[] {
  switch (order) {
    case 'name':
      return workers;
    case 'busiest':
      return workers.toSorted((a, b) => usageOf(b) - usageOf(a));
    case 'trouble':
      return workers.toSorted((a, b) => troubleOf(b) - troubleOf(a));
  }
}

function troubleOf(worker: WorkerState): number {
  if (isDown(worker)) return 3;
  const [level] = stateOf(worker);
  return level === 'warn' ? 2 : level === 'well' ? 0 : 1;
}

function NoWorkers() {
  return (
    <div class="empty">
      <h2>No workers yet</h2>
      <p>
        Name one with <code>--worker http://HOST:PORT</code>, or add it while the gateway runs:{' '}
        <code>POST /workers {'{"url":"http://HOST:PORT"}'}</code>
      </p>
    </div>
  );
}

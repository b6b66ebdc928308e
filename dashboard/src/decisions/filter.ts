// Which decisions are shown: by worker, model, surprise, retry and text, as the address says.

import type { DecisionShort } from '../data.ts';
import { linkTo } from '../route.ts';

const names = ['worker', 'model', 'surprise', 'retry', 'text'] as const;

/** Empty: not filtered by it. `surprise` and `retry` are `any` or empty; `text` is part of a request id. */
export type DecisionFilter = Readonly<Record<(typeof names)[number], string>>;

export function readFilter(query: URLSearchParams): DecisionFilter {
  return Object.fromEntries(names.map((name) => [name, query.get(name) ?? ''])) as DecisionFilter;
}

export function isFiltered(filter: DecisionFilter): boolean {
  return names.some((name) => filter[name] !== '');
}

/** Address of a decision, or of the list, with the filter. */
export function linkWith(filter: DecisionFilter, item: string | null): string {
  return linkTo('decisions', item, { ...filter });
}

export function matches(decision: DecisionShort, { worker, model, surprise, retry, text }: DecisionFilter): boolean {
  return (
    (worker === '' || decision.worker === worker) &&
    (model === '' || decision.model === model) &&
    (surprise === '' || decision.surprise !== null) &&
    (retry === '' || decision.attempt > 1) &&
    (text === '' || decision.requestId.includes(text))
  );
}

/** The gateway's form of the filter; its log goes back further than the stream. */
export function queryOf({ worker, model, surprise, retry }: DecisionFilter): string {
  const query = new URLSearchParams({ limit: '500' });
  if (worker !== '') query.set('worker', worker);
  if (model !== '') query.set('model', model);
  if (surprise !== '') query.set('surprise', '1');
  if (retry !== '') query.set('retry', '1');
  return query.toString();
}

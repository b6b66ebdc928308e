// The fields that filter the decisions. What they say stands in the address.

import { useEffect, useRef } from 'preact/hooks';
import { useNames, usePage } from '../context.ts';
import { useStore } from '../live/store.ts';
import { replaceRoute } from '../route.ts';
import { type DecisionFilter, isFiltered, linkWith } from './filter.ts';

interface Props {
  readonly filter: DecisionFilter;
  /** The decision that stays open. */
  readonly item: string | null;
}

const none: DecisionFilter = { worker: '', model: '', surprise: '', retry: '', text: '' };

export function Filters({ filter, item }: Props) {
  const { store } = usePage();
  const workers = useStore(store, ({ snapshot }) => (snapshot?.workers ?? []).map(({ id }) => id).join('\n'));
  const models = useStore(store, ({ snapshot }) => (snapshot?.pools ?? []).flatMap((pool) => pool.models).join('\n'));
  const nameOf = useNames();
  const search = useRef<HTMLInputElement>(null);
  const set = (part: Partial<DecisionFilter>): void => replaceRoute(linkWith({ ...filter, ...part }, item));
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const isTyping = event.target instanceof HTMLElement && /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
      if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      search.current?.focus();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  const modelIds = namesOf(models, filter.model);
  return (
    <search>
      <form class="filters" aria-label="Filter of the decisions" onSubmit={(event) => event.preventDefault()}>
        <input
          ref={search}
          type="search"
          placeholder="Request id ( / )"
          aria-label="Part of a request id"
          value={filter.text}
          onInput={(event) => set({ text: event.currentTarget.value.trim() })}
        />
        <Choice
          label="Worker"
          all="Every worker"
          value={filter.worker}
          values={namesOf(workers, filter.worker)}
          nameOf={nameOf}
          onChoose={(worker) => set({ worker })}
        />
        {modelIds.length > 1 && (
          <Choice
            label="Model"
            all="Every model"
            value={filter.model}
            values={modelIds}
            nameOf={(id) => id}
            onChoose={(model) => set({ model })}
          />
        )}
        <Toggle name="Surprises" on={filter.surprise !== ''} onChange={(on) => set({ surprise: on ? 'any' : '' })} />
        <Toggle name="Retries" on={filter.retry !== ''} onChange={(on) => set({ retry: on ? 'any' : '' })} />
        {isFiltered(filter) && (
          <button type="button" class="quiet" onClick={() => set(none)}>
            Clear
          </button>
        )}
      </form>
    </search>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly all: string;
  readonly value: string;
  readonly values: readonly string[];
  readonly nameOf: (id: string) => string;
  readonly onChoose: (value: string) => void;
}

function Choice({ label, all, value, values, nameOf, onChoose }: ChoiceProps) {
  return (
    <select aria-label={label} value={value} onChange={(event) => onChoose(event.currentTarget.value)}>
      <option value="">{all}</option>
      {values.map((id) => (
        <option key={id} value={id}>
          {nameOf(id)}
        </option>
      ))}
    </select>
  );
}

interface ToggleProps {
  readonly name: string;
  readonly on: boolean;
  readonly onChange: (on: boolean) => void;
}

function Toggle({ name, on, onChange }: ToggleProps) {
  return (
    <button type="button" class={on ? 'toggle on' : 'toggle'} aria-pressed={on} onClick={() => onChange(!on)}>
      {name}
    </button>
  );
}

/** One that is chosen but gone from the list stays in it. */
function namesOf(joined: string, chosen: string): readonly string[] {
  const all = joined === '' ? [] : [...new Set(joined.split('\n'))];
  return chosen === '' || all.includes(chosen) ? all : [chosen, ...all];
}

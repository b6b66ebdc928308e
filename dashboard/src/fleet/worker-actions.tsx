// What an operator can do with a worker from its card: look at its decisions, drain it, have it examined.

import { useState } from 'preact/hooks';
import { Confirm } from '../confirm.tsx';
import { useNames, usePage } from '../context.ts';
import type { WorkerState } from '../data.ts';
import { plural } from '../format.ts';
import { api } from '../live/api.ts';
import { useStore } from '../live/store.ts';
import { linkTo } from '../route.ts';

type Question = 'drain' | 'undrain' | 'doctor';

export function WorkerActions({ worker }: { readonly worker: WorkerState }) {
  const { store } = usePage();
  const mayAct = useStore(store, ({ session }) => session?.mayAct === true);
  const doctor = useStore(store, (state) => state.doctor);
  const nameOf = useNames();
  const [question, setQuestion] = useState<Question | null>(null);
  const name = nameOf(worker.id);
  const close = (): void => setQuestion(null);
  const joined = worker.load !== null;
  return (
    <div class="actions">
      <a class="button" href={linkTo('decisions', null, { worker: worker.id })}>
        Decisions<span class="hidden"> for {name}</span>
      </a>
      {mayAct && joined && (
        <>
          <button type="button" onClick={() => setQuestion(worker.draining ? 'undrain' : 'drain')}>
            {worker.draining ? 'Undrain' : 'Drain'}
            <span class="hidden"> {name}</span>
          </button>
          {doctor !== null && doctor.kind !== 'off' && (
            <button type="button" disabled={doctor.kind === 'running'} onClick={() => setQuestion('doctor')}>
              {doctor.kind === 'running' && doctor.worker === worker.id ? 'Examining' : 'Doctor'}
              <span class="hidden"> {name}</span>
            </button>
          )}
        </>
      )}
      {question === 'drain' && (
        <Confirm
          title={`Drain ${name}?`}
          action="Drain"
          isDanger
          onClose={close}
          onConfirm={async () => {
            await api.drain(worker.id, true);
            store.change({ said: `${name} is draining` });
          }}
        >
          <p>
            It gets no new requests. {plural(worker.load?.runningRequests ?? 0, 'request')} in flight will end normally.
            {worker.rank > 0 || worker.id.endsWith('#0') ? ` This applies to every rank of ${worker.url}.` : ''}
          </p>
        </Confirm>
      )}
      {question === 'undrain' && (
        <Confirm
          title={`Give ${name} requests again?`}
          action="Undrain"
          onClose={close}
          onConfirm={async () => {
            await api.drain(worker.id, false);
            store.change({ said: `${name} takes requests again` });
          }}
        >
          <p>It takes part in every choice from now on.</p>
        </Confirm>
      )}
      {question === 'doctor' && (
        <Confirm
          title={`Examine ${name}?`}
          action="Examine"
          onClose={close}
          onConfirm={async () => store.change({ doctor: await api.runDoctor(worker.id), said: `${name} is examined` })}
        >
          <p>
            The doctor sends it the same new prompt twice and checks its tokens, cache and KV events. That takes some
            seconds and one slot of its batch.
          </p>
        </Confirm>
      )}
    </div>
  );
}

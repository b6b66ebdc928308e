// What the doctor found, where it was asked for.

import { useNames, usePage } from '../context.ts';
import { Findings } from '../findings.tsx';
import { clock } from '../format.ts';
import { useStore } from '../live/store.ts';
import { StateMark } from '../state-mark.tsx';

export function DoctorReport() {
  const { store } = usePage();
  const doctor = useStore(store, (state) => state.doctor);
  const nameOf = useNames();
  if (doctor === null || doctor.kind === 'off' || doctor.kind === 'idle') return null;
  const close = (): void => store.change({ doctor: { kind: 'idle' } });
  return (
    <section class="panel" aria-labelledby="doctor">
      <header class="row">
        <h2 id="doctor">Doctor: {nameOf(doctor.worker)}</h2>
        {doctor.kind !== 'running' && <span class="faint">{clock(doctor.timeMs)}</span>}
        {doctor.kind !== 'running' && (
          <button type="button" class="quiet end" onClick={close}>
            Close
          </button>
        )}
      </header>
      {doctor.kind === 'running' && <StateMark level="busy" word="Examining. This takes some seconds." />}
      {doctor.kind === 'failed' && <p class="bad">{doctor.message}</p>}
      {doctor.kind === 'done' && (
        <>
          {doctor.findings.length === 0 ? (
            <StateMark level="well" word="No fault was found." />
          ) : (
            <Findings findings={doctor.findings} />
          )}
          {doctor.lines.length > 0 && (
            <details>
              <summary>The whole report</summary>
              <pre class="report">{doctor.lines.join('\n')}</pre>
            </details>
          )}
        </>
      )}
    </section>
  );
}

// Truth of each worker: how well its cache is known, and how right the predictions for it were.

import { useNames } from '../context.ts';
import type { WorkerTruth } from '../data.ts';
import { count, nothing, percent, short } from '../format.ts';
import { linkTo } from '../route.ts';
import { type Level, StateMark } from '../state-mark.tsx';
import { trustMeanings, trustOf } from '../words.ts';

const canaryLevels: Readonly<Record<NonNullable<WorkerTruth['canary']>['state'], Level>> = {
  sound: 'well',
  faulty: 'bad',
  off: 'off',
  inconclusive: 'busy',
};

export function WorkersTruth({ workers }: { readonly workers: readonly WorkerTruth[] }) {
  return (
    <section class="panel" aria-labelledby="by-worker">
      <h2 id="by-worker">By worker</h2>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">Worker</th>
              <th scope="col">View</th>
              <th scope="col">Canary</th>
              <th scope="col" class="number">
                exact
              </th>
              <th scope="col" class="number">
                fewer came
              </th>
              <th scope="col" class="number">
                more came
              </th>
              <th scope="col" class="number">
                believed, but gone
              </th>
              <th scope="col" class="number">
                TTFT error
              </th>
              <th scope="col" class="number">
                bias
              </th>
            </tr>
          </thead>
          <tbody>
            {workers.map((worker) => (
              <Row key={worker.worker} truth={worker} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Row({ truth }: { readonly truth: WorkerTruth }) {
  const nameOf = useNames();
  const { worker, trust, canary, exact, over, under, indexMissTokens, ttftErrorShare, ttftBiasShare } = truth;
  const [level, word] = trustOf(trust);
  const checked = exact + over + under;
  const proofs = canary === null ? '' : canary.proofs.join('; ');
  return (
    <tr>
      <th scope="row">
        <a href={linkTo('fleet', worker)}>{nameOf(worker)}</a>
      </th>
      <td title={trust.detail ?? trustMeanings[trust.kind]}>
        <StateMark level={level} word={word} />
      </td>
      <td title={canary?.reason ?? proofs}>
        {canary === null ? nothing : <StateMark level={canaryLevels[canary.state]} word={canary.state} />}
      </td>
      <td class="number">{percent(checked === 0 ? null : exact / checked)}</td>
      <td class="number">{count(over)}</td>
      <td class="number">{count(under)}</td>
      <td class="number">{short(indexMissTokens)}</td>
      <td class="number">{percent(ttftErrorShare)}</td>
      <td class="number">{percent(ttftBiasShare)}</td>
    </tr>
  );
}

// The hottest prefixes: how long, on which workers, what they save.

import { Sparkline } from '../charts/sparkline.tsx';
import { useNames, usePage } from '../context.ts';
import type { PrefixMap, PrefixState } from '../data.ts';
import { ago, count, duration, percent, plural, short } from '../format.ts';
import { api } from '../live/api.ts';
import { useStore } from '../live/store.ts';
import { useFetched } from '../live/use-fetched.ts';

const everyMs = 4000;
/** As in the style sheet, the gap included. */
const cellPixels = 11;

export function PrefixesView() {
  const { data, fault } = useFetched('prefixes', everyMs, api.prefixes);
  if (data === null) return <p class="empty">{fault ?? 'Loading'}</p>;
  if (data.prefixes.length === 0) {
    return (
      <div class="empty">
        <h2>No shared prefix yet</h2>
        <p>A prefix appears here once several requests begin with it: a system prompt, a document, a chat so far.</p>
      </div>
    );
  }
  return (
    <div class="stack">
      <Lead map={data} />
      <Table map={data} />
    </div>
  );
}

function Lead({ map: { prefixes, sampledShare, givenUp, followedMax } }: { readonly map: PrefixMap }) {
  const saved = prefixes.filter(({ parent }) => parent === null).reduce((sum, { savedTokens }) => sum + savedTokens, 0);
  const wide = prefixes.filter(
    ({ workers, poolWorkers }) => workers.length > 1 && workers.length === poolWorkers,
  ).length;
  const first = prefixes[0]!;
  return (
    <section class="panel" aria-labelledby="prefixes">
      <h2 id="prefixes">Prefixes of the last hour</h2>
      <p class="why">
        {plural(prefixes.length, 'prefix', 'prefixes')} saved about {short(saved)} prompt tokens from being computed
        again. The hottest is {count(first.tokens)} tokens long and saved {short(first.savedTokens)}.
        {wide > 0 && ` ${wide === 1 ? 'One lives' : `${count(wide)} live`} on every worker.`}
      </p>
      <p class="faint">
        Only hashes of blocks are known, never text. Savings are as predicted by the choices.
        {sampledShare < 1 && ` ${percent(sampledShare)} of the decisions were looked at.`}
        {givenUp > 0 &&
          ` At most ${count(followedMax)} are followed at a time; ${count(givenUp)} were given up for others.`}
      </p>
    </section>
  );
}

function Table({ map: { prefixes, stepMs } }: { readonly map: PrefixMap }) {
  const { store } = usePage();
  const known = useStore(store, ({ snapshot }) => snapshot?.workers ?? null);
  const ids = (known ?? []).filter(({ load }) => load !== null).map(({ id }) => id);
  const mostSaved = Math.max(1, ...prefixes.map(({ savedTokens }) => savedTokens));
  const longest = Math.max(1, ...prefixes.map(({ tokens }) => tokens));
  const spanMs = stepMs * Math.max(0, ...prefixes.map(({ hits }) => hits.length));
  return (
    <section class="panel" aria-label="The hottest prefixes">
      <div class="scroll">
        <table class="prefixes">
          <thead>
            <tr>
              <th scope="col">Prefix</th>
              <th scope="col" class="wide">
                Length, tokens
              </th>
              <th scope="col" class="wide">
                Tokens saved
              </th>
              <th scope="col">Lives on</th>
              <th scope="col" class="number">
                Requests
              </th>
              <th scope="col">Over {duration(spanMs)}</th>
              <th scope="col" class="number">
                Seen
              </th>
            </tr>
          </thead>
          <tbody>
            {prefixes.map((prefix) => (
              <Row key={prefix.hash} prefix={prefix} ids={ids} mostSaved={mostSaved} longest={longest} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

interface RowProps {
  readonly prefix: PrefixState;
  readonly ids: readonly string[];
  readonly mostSaved: number;
  readonly longest: number;
}

function Row({ prefix, ids, mostSaved, longest }: RowProps) {
  const { hash, parent, tokens, savedTokens, requests, hits, lastMs } = prefix;
  return (
    <tr>
      <th scope="row">
        {parent !== null && (
          <span class="faint" title={`continues ${parent.slice(0, 8)}`}>
            ↳{' '}
          </span>
        )}
        <code title={hash}>{hash.slice(0, 8)}</code>
      </th>
      <td class="wide">
        <Amount value={tokens} most={longest} text={count(tokens)} colour="--prompt" />
      </td>
      <td class="wide">
        <Amount value={savedTokens} most={mostSaved} text={short(savedTokens)} colour="--shared" />
      </td>
      <td>
        <Homes prefix={prefix} ids={ids} />
      </td>
      <td class="number">{count(requests)}</td>
      <td>
        <Sparkline values={hits} colour="--shared" width={110} height={26} bars />
      </td>
      <td class="number soft">{ago(Date.now() - lastMs)}</td>
    </tr>
  );
}

interface AmountProps {
  readonly value: number;
  readonly most: number;
  readonly text: string;
  readonly colour: string;
}

function Amount({ value, most, text, colour }: AmountProps) {
  return (
    <span class="amount">
      <span class="amount-bar" aria-hidden="true">
        <span style={{ width: `${(100 * value) / most}%`, background: `var(${colour})` }} />
      </span>
      <span>{text}</span>
    </span>
  );
}

/** A cell for each worker of the fleet, filled where the whole prefix lives. With many workers only their number. */
function Homes({
  prefix: { workers, poolWorkers },
  ids,
}: {
  readonly prefix: PrefixState;
  readonly ids: readonly string[];
}) {
  const nameOf = useNames();
  const at = new Set(workers);
  const names = workers.map(nameOf).join(', ');
  return (
    <span class="homes" title={names === '' ? 'on no worker now' : names}>
      <span>
        {workers.length} of {poolWorkers}
      </span>
      {ids.length <= 64 && (
        <span class="home-cells" style={{ width: `${ids.length * cellPixels}px` }} aria-hidden="true">
          {ids.map((id) => (
            <span key={id} class={at.has(id) ? 'home full' : 'home'} />
          ))}
        </span>
      )}
    </span>
  );
}

// One choice in full: why, what was predicted and what came, and what every candidate would have cost.

import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { useNamedText, useNames, usePage } from '../context.ts';
import type { DecisionInFull } from '../data.ts';
import { clock, duration, nothing, plural } from '../format.ts';
import { ApiError, api } from '../live/api.ts';
import { useStore } from '../live/store.ts';
import { linkTo } from '../route.ts';
import { StateMark } from '../state-mark.tsx';
import { outcomeOf, reasonMeaning, surpriseOf, trustOf } from '../words.ts';
import { Candidates } from './candidates.tsx';
import { Compared } from './compared.tsx';

interface Props {
  readonly requestId: string;
  /** Address of the list without this decision. */
  readonly closeLink: string;
}

export function DecisionDetail({ requestId, closeLink }: Props) {
  const { attempts, fault } = useAttempts(requestId);
  const [chosen, setChosen] = useState<number | null>(null);
  const nameOf = useNames();
  useEffect(() => setChosen(null), [requestId]);
  const shown = attempts?.find(({ attempt }) => attempt === chosen) ?? attempts?.at(-1) ?? null;
  return (
    <section class="panel detail" aria-labelledby="decision">
      <header class="row">
        <h2 id="decision">
          {shown === null ? (
            'Decision'
          ) : (
            <>
              Why <a href={linkTo('fleet', shown.worker)}>{nameOf(shown.worker)}</a>?
            </>
          )}
        </h2>
        <CopyLink />
        <a class="button" href={closeLink}>
          Close
        </a>
      </header>
      {attempts !== null && attempts.length > 1 && (
        <fieldset class="choice">
          <legend class="hidden">Attempt</legend>
          {attempts.map(({ attempt, outcome }) => (
            <label key={attempt} class={attempt === shown?.attempt ? 'chosen' : ''}>
              <input
                type="radio"
                name="attempt"
                checked={attempt === shown?.attempt}
                onChange={() => setChosen(attempt)}
              />
              attempt {attempt}: {outcomeOf(outcome)[1]}
            </label>
          ))}
        </fieldset>
      )}
      {fault !== null && <p class="bad">{fault}</p>}
      {shown !== null && <Attempt decision={shown} />}
    </section>
  );
}

function Attempt({ decision }: { readonly decision: DecisionInFull }) {
  const { why, outcome, error, status, timeMs, model, policy, reason, slo, surprise, trust, known, regretMs } =
    decision;
  const { requestId, promptTokens, outputTokens, durationMs, bestWorker } = decision;
  const [level, word] = outcomeOf(outcome);
  const nameOf = useNames();
  const named = useNamedText();
  return (
    <>
      <p class="why">{named(why)}</p>
      {error !== null && (
        <p class="bad">
          {status !== null && `${status}: `}
          {error}
        </p>
      )}
      <Compared decision={decision} />
      <Candidates decision={decision} />
      <dl class="facts">
        <Fact name="Outcome">
          <StateMark level={level} word={word} />
          {surprise !== null && <span class="warn"> {surpriseOf(surprise)}</span>}
        </Fact>
        <Fact name="Chosen because">{reasonMeaning(reason)}</Fact>
        <Fact name="Prompt">
          {plural(promptTokens, 'token')}
          {known === 'tokens' ? '' : `, known as ${known}`}
        </Fact>
        <Fact name="Output">
          {outputTokens === null ? nothing : plural(outputTokens, 'token')}
          {durationMs !== null && ` in ${duration(durationMs)}`}
        </Fact>
        {regretMs !== null && (
          <Fact name="In hindsight">
            {bestWorker === null || regretMs < 1
              ? 'no worker would have been sooner'
              : `${nameOf(bestWorker)} would have been ${duration(regretMs)} sooner`}
          </Fact>
        )}
        {slo !== null && (
          <Fact name="SLO">
            {slo.ttftMs !== undefined && `TTFT ${duration(slo.ttftMs)} `}
            {slo.tpotMs !== undefined && `TPOT ${duration(slo.tpotMs)}`}
          </Fact>
        )}
        <Fact name="View of its cache">{trustOf(trust)[1]}</Fact>
        <Fact name="Policy">{policy}</Fact>
        <Fact name="Model">{model}</Fact>
        <Fact name="Time">{clock(timeMs)}</Fact>
        <Fact name="Request">
          <code>{requestId}</code>
        </Fact>
      </dl>
    </>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function CopyLink() {
  const [isCopied, setIsCopied] = useState(false);
  const { store } = usePage();
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(location.href);
      setIsCopied(true);
      store.change({ said: 'The link is copied' });
      setTimeout(() => setIsCopied(false), 2000);
    } catch {
      store.change({ said: 'The link can be copied from the address bar' });
    }
  };
  return (
    <button type="button" class="quiet end" onClick={() => void copy()}>
      {isCopied ? 'Copied' : 'Copy link'}
    </button>
  );
}

interface Attempts {
  readonly attempts: readonly DecisionInFull[] | null;
  readonly fault: string | null;
}

/** Asks again whenever the stream says that more is known of the request. */
function useAttempts(requestId: string): Attempts {
  const { store } = usePage();
  const version = useStore(store, ({ decisions }) =>
    decisions.rows
      .filter((row) => row.requestId === requestId)
      .map(({ seq, outcome, actualTtftMs, actualCachedTokens }) => [seq, outcome, actualTtftMs, actualCachedTokens])
      .join('/'),
  );
  const [state, setState] = useState<Attempts & { readonly of: string }>({
    of: requestId,
    attempts: null,
    fault: null,
  });
  useEffect(() => {
    let isCurrent = true;
    api.decision(requestId).then(
      (attempts) => isCurrent && setState({ of: requestId, attempts, fault: null }),
      (error: unknown) => {
        if (!isCurrent) return;
        const fault = faultOf(error);
        setState((before) => ({ of: requestId, attempts: before.of === requestId ? before.attempts : null, fault }));
      },
    );
    return () => {
      isCurrent = false;
    };
  }, [requestId, version]);
  return state.of === requestId ? state : { attempts: null, fault: null };
}

function faultOf(error: unknown): string {
  if (error instanceof ApiError && error.status === 404) {
    return 'The gateway no longer has this decision: its log keeps only the latest.';
  }
  return error instanceof Error ? error.message : String(error);
}

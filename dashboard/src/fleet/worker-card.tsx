// One worker: how full, how busy, how fast, how well known.

import { Sparkline } from '../charts/sparkline.tsx';
import { StackedBar } from '../charts/stacked-bar.tsx';
import type { WorkerSparklines, WorkerState } from '../data.ts';
import { count, duration, nothing, percent, short, times } from '../format.ts';
import { linkTo } from '../route.ts';
import { StateMark } from '../state-mark.tsx';
import { isDown, stateOf, trustMeanings, trustOf } from '../words.ts';
import { blockParts, isSlow, usageOf } from './loads.ts';
import { WorkerActions } from './worker-actions.tsx';

interface Props {
  readonly worker: WorkerState;
  readonly name: string;
  readonly isBusiest: boolean;
  readonly lines: WorkerSparklines | null;
  /** The card stands alone: its name is no link. */
  readonly alone?: boolean;
}

const noValues: readonly number[] = [];

export function WorkerCard({ worker, name, isBusiest, lines, alone = false }: Props) {
  const [level, word] = stateOf(worker);
  const { load, speed, rates, findings } = worker;
  const fault = findings.find(({ severity }) => severity !== 'info');
  return (
    <article class={`card is-${isDown(worker) ? 'down' : level}`} aria-label={`Worker ${name}`} data-worker={worker.id}>
      <header>
        <h3 title={worker.id}>{alone ? name : <a href={linkTo('fleet', worker.id)}>{name}</a>}</h3>
        {isBusiest && <span class="tag">busiest</span>}
        {isSlow(worker) && <span class="tag warn">{times(speed!.slowness)} slower</span>}
        <StateMark level={level} word={word} />
      </header>
      {worker.healthReason !== null && worker.health !== 'ready' && <p class="reason">{worker.healthReason}</p>}
      {load === null ? (
        <p class="faint">Nothing is known of its load until it joins.</p>
      ) : (
        <>
          <Blocks worker={worker} />
          <dl class="figures">
            <Pair name="requests" value={count(load.runningRequests)} title="Requests in flight" />
            <Pair name="requests/s" value={short(rates?.requestsPerS ?? null)} title="Requests a second" />
            <Pair
              name="prefill tokens"
              value={short(load.activePrefillTokens + load.otherRoutersPrefillTokens)}
              title={prefillTitle(load.otherRoutersPrefillTokens)}
            />
            <Pair
              name="prefill wait"
              value={duration(speed?.backlogMs ?? null)}
              title="Predicted time until the prefill that is booked there is done"
            />
            <Pair
              name="prefill speed"
              value={speed?.prefillTokensPerS == null ? nothing : `${short(speed.prefillTokensPerS)}/s`}
              title="Prompt tokens a second, as learnt from its streams"
            />
            <Pair
              name="per token"
              value={duration(speed?.msPerToken ?? null)}
              title="Time between two output tokens, as learnt from its streams"
            />
          </dl>
          <div class="sparks">
            <Spark name="TTFT" value={duration(rates?.ttftP50Ms ?? null)} values={lines?.ttftP50Ms} colour="--accent" />
            <Spark name="ITL" value={duration(rates?.itlMs ?? null)} values={lines?.itlMs} colour="--others" />
          </div>
        </>
      )}
      {fault !== undefined && <p class={fault.severity === 'bad' ? 'finding bad' : 'finding warn'}>{fault.message}</p>}
      <footer>
        <Trust worker={worker} />
        <WorkerActions worker={worker} />
      </footer>
    </article>
  );
}

function prefillTitle(othersTokens: number): string {
  const title = 'Prompt tokens that are booked there and not computed yet';
  return othersTokens === 0 ? title : `${title}; ${count(othersTokens)} of them by other routers`;
}

function Trust({ worker: { trust } }: { readonly worker: WorkerState }) {
  const [level, word] = trustOf(trust);
  return (
    <a class="trust" href={linkTo('truth')} title={trust.detail ?? trustMeanings[trust.kind]}>
      <StateMark level={level} word={word} />
    </a>
  );
}

function Blocks({ worker }: { readonly worker: WorkerState }) {
  const { parts, total } = blockParts(worker);
  const { capacityBlocks, capacityKnown } = worker.load!;
  const shown = parts.filter(({ value }) => value > 0).map(({ name, value }) => `${count(value)} ${name}`);
  const label = `${count(total)} of ${count(capacityBlocks)} KV blocks in use${shown.length > 0 ? `: ${shown.join(', ')}` : ''}`;
  return (
    <div class="blocks">
      <p>
        <strong class="big">{percent(usageOf(worker))}</strong>
        <span class="soft">
          {count(total)} of {count(capacityBlocks)}
          {capacityKnown ? '' : ' (assumed)'} blocks
        </span>
      </p>
      <StackedBar parts={parts} whole={capacityBlocks} label={label} />
    </div>
  );
}

function Pair({ name, value, title }: { readonly name: string; readonly value: string; readonly title: string }) {
  return (
    <div title={title}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

interface SparkProps {
  readonly name: string;
  readonly value: string;
  readonly values: readonly (number | null)[] | undefined;
  readonly colour: string;
}

function Spark({ name, value, values = noValues, colour }: SparkProps) {
  return (
    <div class="spark">
      <span class="soft">{name}</span>
      <strong>{value}</strong>
      <Sparkline values={values} colour={colour} height={28} />
    </div>
  );
}

/** What the colours of the bars mean: once for all cards. */
export function BlockLegend({ withOthers }: { readonly withOthers: boolean }) {
  const items = [
    ['--shared', 'prompt, shared by several requests'],
    ['--prompt', 'prompt of one request'],
    ['--output', 'output and tails'],
    ...(withOthers ? [['--others', 'booked by other routers']] : []),
  ] as const;
  return (
    <ul class="legend" aria-label="Colours of the bars">
      {items.map(([colour, text]) => (
        <li key={colour}>
          <span class="swatch-box" style={{ background: `var(${colour})` }} />
          {text}
        </li>
      ))}
    </ul>
  );
}

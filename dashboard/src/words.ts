// What states and reasons mean, in plain words.

import type { DecisionShort, Surprise, TrustState, WorkerHealth, WorkerState } from './data.ts';
import type { Level } from './state-mark.tsx';

const healthWords: Readonly<Record<WorkerHealth, readonly [Level, string]>> = {
  ready: ['well', 'ready'],
  joining: ['busy', 'joining'],
  stalled: ['warn', 'silent'],
  suspect: ['warn', 'failing'],
  down: ['bad', 'down'],
  refused: ['bad', 'not usable'],
};

/** Health and draining in one. */
export function stateOf({ health, draining, drained, leaving }: WorkerState): readonly [Level, string] {
  if (health === 'ready' && leaving) return ['off', 'leaving'];
  if (health === 'ready' && drained) return ['off', 'drained'];
  if (health === 'ready' && draining) return ['off', 'draining'];
  return healthWords[health];
}

export function isDown({ health }: WorkerState): boolean {
  return health === 'down' || health === 'refused';
}

const trustWords: Readonly<Record<TrustState['kind'], readonly [Level, string]>> = {
  exact: ['well', 'exact view'],
  'catching-up': ['busy', 'catching up'],
  degraded: ['warn', 'blocks missing'],
  approximate: ['warn', 'assumed only'],
  unknown: ['off', 'no view yet'],
};

/** How far the known blocks of a worker can be trusted. */
export function trustOf({ kind }: TrustState): readonly [Level, string] {
  return trustWords[kind];
}

export const trustMeanings: Readonly<Record<TrustState['kind'], string>> = {
  exact: "every KV event of the engine was applied in order: the router knows its cache's blocks",
  'catching-up': 'events that will complete the view are awaited',
  degraded: 'some events are lost: blocks may be missing, which costs hits but never claims a block that is not there',
  approximate: 'the engine sends no KV events: the router assumes that it holds the prompts it was sent',
  unknown: 'it has not joined yet',
};

const reasonWords: Readonly<Record<string, string>> = {
  cost: 'lowest cost',
  tie: 'tie, drawn',
  only: 'only one',
  temperature: 'drawn',
  turn: 'in turn',
  draw: 'drawn',
  affinity: 'affinity rule',
  slo: 'meets the SLO',
  joint: 'planned together',
};

export function reasonOf(reason: string): string {
  return reasonWords[reason] ?? reason;
}

const reasonMeanings: Readonly<Record<string, string>> = {
  cost: 'it alone had the lowest cost',
  tie: 'several had the lowest cost, and it was drawn among those with the fewest requests',
  only: 'no other worker could take the request',
  temperature: 'it was drawn: lower costs are likelier (temperature)',
  turn: 'it was its turn; this policy does not compare costs',
  draw: 'it was drawn; this policy does not compare all costs',
  affinity: 'a rule before the cost gives this prefix to it',
  slo: 'the cheapest worker would have missed the SLO of the request, and this one meets it',
  joint: 'a plan for requests that arrived in the same moment gave it to this worker',
};

export function reasonMeaning(reason: string): string {
  return reasonMeanings[reason] ?? reason;
}

const surpriseWords: Readonly<Record<Surprise, string>> = {
  cache: 'cache differs',
  ttft: 'time differs',
  both: 'cache and time differ',
};

export function surpriseOf(surprise: Surprise): string {
  return surpriseWords[surprise];
}

const outcomeWords: Readonly<Record<NonNullable<DecisionShort['outcome']>, readonly [Level, string]>> = {
  done: ['well', 'done'],
  failed: ['bad', 'failed'],
  aborted: ['off', 'client left'],
};

export function outcomeOf(outcome: DecisionShort['outcome']): readonly [Level, string] {
  return outcome === null ? ['busy', 'in flight'] : outcomeWords[outcome];
}

/** Where prompt tokens went, as one would tell a newcomer. */
export const fates = [
  {
    key: 'cachedTokens',
    name: 'From cache',
    meaning: 'the engine had computed them before',
    colour: '--shared',
  },
  {
    key: 'workloadMissTokens',
    name: 'New to every worker',
    meaning: 'no worker held this part of the prompt: no choice could have helped',
    colour: '--prompt',
  },
  {
    key: 'routingMissTokens',
    name: 'Held elsewhere',
    meaning: 'another worker held it, but was the worse choice, because it was busier',
    colour: '--output',
  },
  {
    key: 'promiseMissTokens',
    name: 'Not there in time',
    meaning: 'a request in flight was going to leave it there, but too late',
    colour: '--others',
  },
  {
    key: 'indexMissTokens',
    name: 'Believed, but gone',
    meaning: 'the router believed it there, but the engine no longer had it',
    colour: '--bad',
  },
] as const;

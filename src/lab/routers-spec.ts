// How many routers a run has, how they share the requests and the load, and what happens to their messages.

import type { ChainForm } from '../cluster/index.ts';

export interface RoutersSpec {
  readonly routers: number;
  /** Which router a request goes to: in turn, or by the first block of its prompt. */
  readonly spread: 'turn' | 'prefix';
  /** Whether routers tell each other what they have booked. */
  readonly sharing: boolean;
  readonly chains: ChainForm;
  /** From one router to another. */
  readonly delayMs: number;
  /** Whether messages about bookings keep the pace of gateways (cluster/message-pace). If not: one in each turn. */
  readonly paced: boolean;
  /** Each message is late by 0 to this, at random: messages overtake each other. */
  readonly jitterMs: number;
  /** Shares of the messages that are lost, and that arrive twice. */
  readonly loss: number;
  readonly duplicate: number;
  /** From the middle of the arrivals on, the first half of the routers and the other hear nothing of each other. */
  readonly partitionMs: number;
  /** Each router's sharing starts anew once, in turn over the run: what it knew of the others is lost. */
  readonly restarts: boolean;
}

export const oneRouter: RoutersSpec = {
  routers: 1,
  spread: 'turn',
  sharing: true,
  chains: 'sampled',
  delayMs: 5,
  paced: false,
  jitterMs: 0,
  loss: 0,
  duplicate: 0,
  partitionMs: 0,
  restarts: false,
};

export const routersMax = 64;
const msMax = 3_600_000;

/** Reads the value of a key; the caller has its text and how to complain. */
interface ValueReader {
  amount(max: number): number;
  word<Word extends string>(words: readonly Word[]): Word;
}

type Setting = (spec: RoutersSpec, value: ValueReader) => RoutersSpec;

const settings: Readonly<Record<string, Setting>> = {
  routers: (spec, value) => ({ ...spec, routers: Math.max(1, Math.floor(value.amount(routersMax))) }),
  spread: (spec, value) => ({ ...spec, spread: value.word(['turn', 'prefix']) }),
  sharing: (spec, value) => ({ ...spec, sharing: value.word(['on', 'off']) === 'on' }),
  chains: (spec, value) => ({ ...spec, chains: value.word(['whole', 'sampled', 'off']) }),
  'router-delay-ms': (spec, value) => ({ ...spec, delayMs: value.amount(msMax) }),
  'router-pace': (spec, value) => ({ ...spec, paced: value.word(['on', 'off']) === 'on' }),
  'router-jitter-ms': (spec, value) => ({ ...spec, jitterMs: value.amount(msMax) }),
  'router-loss': (spec, value) => ({ ...spec, loss: value.amount(1) }),
  'router-duplicate': (spec, value) => ({ ...spec, duplicate: value.amount(1) }),
  'router-partition-ms': (spec, value) => ({ ...spec, partitionMs: value.amount(msMax) }),
  'router-restarts': (spec, value) => ({ ...spec, restarts: value.word(['on', 'off']) === 'on' }),
};

/** Keys of a policy spec that are read here. */
export const routersKeys: readonly string[] = Object.keys(settings);

/** @returns null if the key is none of `routersKeys` */
export function withSetting(spec: RoutersSpec, key: string, value: ValueReader): RoutersSpec | null {
  return Object.hasOwn(settings, key) ? settings[key]!(spec, value) : null;
}

// Shares of the limits by key and by tenant: replicas divide a limit among themselves by how much each is asked for.
//
// Each replica tells its use of every key and tenant; all compute the shares from the same figures, so that they add up
// to the limit. A share that grows is taken one round later than one that shrinks, and what others are known to use is
// never used twice. Without NATS each replica keeps its last shares.

import { z } from 'zod';

/** Use of one key, or of one tenant, at one replica. */
export interface KeyUse {
  readonly inFlight: number;
  /** Requests of the last 60 s, as the limit counts them. */
  readonly lastMinute: number;
  /** Tokens of the last 60 s, with those reserved. */
  readonly lastMinuteTokens: number;
  /** Requests of the last seconds, those refused included. */
  readonly asked: number;
}

/** Null: clients without a key. A tenant is named `tenant:NAME`. */
export type KeyName = string | null;

const limitsVersion = 1;
const keysMax = 4096;
const nameLengthMax = 512;
/** Keys of all other replicas together; a message beyond it is not read. */
export const othersKeysMax = 262_144;
const count = z.number().min(0).max(1e9);
const tokenCount = z.number().min(0).max(1e15);
const message = z.object({
  version: z.literal(limitsVersion),
  replica: z.string().min(1).max(64),
  keys: z.array(z.tuple([z.string().max(nameLengthMax).nullable(), count, count, count])).max(keysMax),
  /** In the order of `keys`; absent from replicas that do not limit tokens. */
  tokens: z.array(tokenCount).max(keysMax).default([]),
});

/** Weight of a replica that nobody asks: a small part of the limit stays with it for its first requests. */
const idleWeight = 0.5;

interface Share {
  now: number;
  before: number;
}

export class KeyShares {
  readonly #replica: string;
  readonly #others = new Map<string, ReadonlyMap<KeyName, KeyUse>>();
  readonly #shares = new Map<KeyName, Share>();
  #isFrozen = true;
  #initialShare: number;

  /** @param replicasExpected share of a replica that has not heard of any other */
  constructor(replica: string, replicasExpected: number) {
    this.#replica = replica;
    this.#initialShare = 1 / replicasExpected;
  }

  write(uses: ReadonlyMap<KeyName, KeyUse>): Uint8Array {
    const told = [...uses].slice(0, keysMax);
    const keys = told.map(([name, use]) => [name, use.inFlight, use.lastMinute, use.asked]);
    const tokens = told.map(([, use]) => use.lastMinuteTokens);
    return new TextEncoder().encode(JSON.stringify({ version: limitsVersion, replica: this.#replica, keys, tokens }));
  }

  /** @param isHere whether this replica is known to be there @returns false: not a message of this version, or a stranger's */
  read(bytes: Uint8Array, isHere: (replica: string) => boolean): boolean {
    const { data } = message.safeParse(parsed(bytes));
    if (data === undefined || !isHere(data.replica)) return false;
    let others = data.keys.length;
    for (const [replica, uses] of this.#others) if (replica !== data.replica) others += uses.size;
    if (others > othersKeysMax) return false;
    const uses = data.keys.map(
      ([name, inFlight, lastMinute, asked], at) =>
        [name, { inFlight, lastMinute, lastMinuteTokens: data.tokens[at] ?? 0, asked }] as const,
    );
    this.#others.set(data.replica, new Map(uses));
    return true;
  }

  /**
   * A round: computes the shares anew.
   * @param here the other replicas that are there; null: there is no connection, so the last shares stay
   */
  settle(own: ReadonlyMap<KeyName, KeyUse>, here: ReadonlySet<string> | null): void {
    this.#isFrozen = here === null;
    if (here === null) return;
    this.#initialShare = 1 / (here.size + 1);
    for (const replica of this.#others.keys()) if (!here.has(replica)) this.#others.delete(replica);
    for (const [name, use] of own) {
      let all = idleWeight * (here.size + 1) + weightOf(use);
      for (const uses of this.#others.values()) all += weightOf(uses.get(name));
      const now = (idleWeight + weightOf(use)) / all;
      const share = this.#shares.get(name);
      if (share === undefined) this.#shares.set(name, { now, before: Math.min(now, this.#initialShare) });
      else {
        share.before = share.now;
        share.now = now;
      }
    }
  }

  /** This replica's part of the limit, at least 1 unless others use it up. */
  allowance(name: KeyName, max: number, of: 'inFlight' | 'lastMinute' | 'lastMinuteTokens'): number {
    const share = this.#shares.get(name);
    const part = share === undefined ? this.#initialShare : Math.min(share.now, share.before);
    const own = Math.max(1, Math.round(part * max));
    if (this.#isFrozen) return own;
    let others = 0;
    for (const uses of this.#others.values()) others += uses.get(name)?.[of] ?? 0;
    return Math.max(0, Math.min(own, max - Math.floor(others)));
  }

  /** Shares by key, for operators. */
  view(): { readonly key: KeyName; readonly share: number }[] {
    return [...this.#shares].map(([key, { now, before }]) => ({ key, share: Math.min(now, before) }));
  }
}

function weightOf(use: KeyUse | undefined): number {
  return use === undefined ? 0 : use.inFlight + use.asked;
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}

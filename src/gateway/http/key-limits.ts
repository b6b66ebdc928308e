// Limits the requests per API key: in flight at once, and per minute.

import type { ApiKey } from '../config/api-keys.ts';
import type { GatewayConfig } from '../config/config.ts';
import { LimitReached } from '../exchange/limit-reached.ts';

const minuteMs = 60_000;
/** `Retry-After` when too many requests are in flight: a guess, since their end is unknown. */
const inFlightRetryS = 1;

export type KeyLimitSettings = Pick<GatewayConfig, 'inFlightPerKeyMax' | 'requestsPerMinutePerKeyMax'>;

/** What limits the requests of a key. */
export type LimitedKey = Pick<ApiKey, 'name' | 'inFlightMax' | 'requestsPerMinuteMax'>;

/** The part of a limit that is this replica's, if there are others. */
export interface LimitShares {
  allowance(key: string | null, max: number, of: 'inFlight' | 'lastMinute'): number;
}

/** Time constant of `asked`. */
const askedMs = 3000;

/** Counts of two neighbouring minutes; the last 60 s are estimated from both. */
interface Use {
  inFlight: number;
  /** Requests, those refused included, each weighted by its age. */
  asked: number;
  askedAtMs: number;
  minute: number;
  countBefore: number;
  count: number;
}

export class KeyLimits {
  /**
   * By key name; all clients without a key share one entry. Keys come from the configuration, so the map is bounded.
   */
  readonly #uses = new Map<string | null, Use>();
  /** Null: there are no other replicas. */
  shares: LimitShares | null = null;

  /** Use of the keys that were asked for in the last minutes. */
  uses(nowMs: number): Map<string | null, { inFlight: number; lastMinute: number; asked: number }> {
    const uses = new Map<string | null, { inFlight: number; lastMinute: number; asked: number }>();
    for (const name of this.#uses.keys()) {
      const use = this.#useOf(name, Math.floor(nowMs / minuteMs));
      const before = use.countBefore * (1 - (nowMs % minuteMs) / minuteMs);
      const { inFlight, count } = use;
      uses.set(name, { inFlight, lastMinute: count + before, asked: askedBy(use, nowMs) });
    }
    return uses;
  }

  /**
   * Counts a request as in flight until `work` has settled or thrown.
   * @throws RequestError 429 if a limit is reached; `work` is then not called
   */
  async within<T>(
    key: LimitedKey | null,
    settings: KeyLimitSettings,
    nowMs: number,
    work: () => T | Promise<T>,
  ): Promise<T> {
    const use = this.#admit(key, settings, nowMs);
    try {
      return await work();
    } finally {
      use.inFlight -= 1;
    }
  }

  /** @returns the counts that include the request @throws RequestError 429 */
  #admit(key: LimitedKey | null, settings: KeyLimitSettings, nowMs: number): Use {
    const use = this.#useOf(key?.name ?? null, Math.floor(nowMs / minuteMs));
    const inFlightMax = key?.inFlightMax ?? settings.inFlightPerKeyMax;
    const perMinuteMax = key?.requestsPerMinuteMax ?? settings.requestsPerMinutePerKeyMax;
    const { shares } = this;
    if (shares !== null) {
      use.asked = askedBy(use, nowMs) + 1;
      use.askedAtMs = nowMs;
    }
    const part = (max: number, of: 'inFlight' | 'lastMinute'): number =>
      shares === null || max === 0 ? max : shares.allowance(key?.name ?? null, max, of);
    if (inFlightMax > 0 && use.inFlight >= part(inFlightMax, 'inFlight')) {
      throw exceeded('inFlightPerKeyMax', `${inFlightMax} requests at a time`, inFlightRetryS);
    }
    if (perMinuteMax > 0) {
      const waitMs = waitFor(use, part(perMinuteMax, 'lastMinute'), nowMs % minuteMs);
      if (waitMs > 0) {
        throw exceeded('requestsPerMinutePerKeyMax', `${perMinuteMax} requests a minute`, Math.ceil(waitMs / 1000));
      }
    }
    use.inFlight += 1;
    use.count += 1;
    return use;
  }

  #useOf(name: string | null, minute: number): Use {
    let use = this.#uses.get(name);
    if (use === undefined) {
      use = { inFlight: 0, asked: 0, askedAtMs: 0, minute, countBefore: 0, count: 0 };
      this.#uses.set(name, use);
    }
    if (use.minute !== minute) {
      use.countBefore = use.minute === minute - 1 ? use.count : 0;
      use.count = 0;
      use.minute = minute;
    }
    return use;
  }
}

/**
 * Milliseconds until one more request fits; 0 if it fits now. Assumes that requests were spread evenly over the
 * previous minute.
 */
function waitFor({ countBefore, count }: Use, max: number, passedMs: number): number {
  const room = max - 1 - count;
  // Other replicas have used it up.
  if (max < 1) return minuteMs - passedMs;
  if (room < 0) {
    // Not before the next minute, and then only once enough of this minute's requests are 60 s old.
    return minuteMs - passedMs + minuteMs * Math.max(0, 1 - (max - 1) / count);
  }
  if (countBefore <= room) return 0;
  return Math.max(0, minuteMs * (1 - room / countBefore) - passedMs);
}

function askedBy({ asked, askedAtMs }: Use, nowMs: number): number {
  return asked * Math.exp((askedAtMs - nowMs) / askedMs);
}

function exceeded(limit: string, what: string, retryAfterS: number): LimitReached {
  return new LimitReached(limit, 429, 'rate_limit_exceeded', `the limit of ${what} is reached`, retryAfterS);
}

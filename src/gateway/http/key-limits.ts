// How much one key may use: requests at a time, and requests a minute.

import type { ApiKey } from '../config/api-keys.ts';
import type { GatewayConfig } from '../config/config.ts';
import { LimitReached } from '../exchange/limit-reached.ts';

const minuteMs = 60_000;
/** When a request that found all places taken may try again: nobody knows when one gets free. */
const inFlightRetryS = 1;

export type KeyLimitSettings = Pick<GatewayConfig, 'inFlightPerKeyMax' | 'requestsPerMinutePerKeyMax'>;

/** Requests of a key in two neighbouring minutes; the last 60 s are estimated from both. */
interface Use {
  inFlight: number;
  minute: number;
  countBefore: number;
  count: number;
}

export class KeyLimits {
  /** By the key's name; all clients without a key share one. Keys come from the configuration, so their number has a bound. */
  readonly #uses = new Map<string | null, Use>();

  /**
   * Counts a request. The function that it returns is to be called once, when the request has ended.
   * @throws RequestError 429 if a limit is reached
   */
  admit(key: ApiKey | null, settings: KeyLimitSettings, nowMs: number): () => void {
    const use = this.#useOf(key?.name ?? null, Math.floor(nowMs / minuteMs));
    const inFlightMax = key?.inFlightMax ?? settings.inFlightPerKeyMax;
    const perMinuteMax = key?.requestsPerMinuteMax ?? settings.requestsPerMinutePerKeyMax;
    if (inFlightMax > 0 && use.inFlight >= inFlightMax) {
      throw exceeded('inFlightPerKeyMax', `${inFlightMax} requests at a time`, inFlightRetryS);
    }
    if (perMinuteMax > 0) {
      const waitMs = waitFor(use, perMinuteMax, nowMs % minuteMs);
      if (waitMs > 0) {
        throw exceeded('requestsPerMinutePerKeyMax', `${perMinuteMax} requests a minute`, Math.ceil(waitMs / 1000));
      }
    }
    use.inFlight += 1;
    use.count += 1;
    return () => {
      use.inFlight -= 1;
    };
  }

  #useOf(name: string | null, minute: number): Use {
    let use = this.#uses.get(name);
    if (use === undefined) {
      use = { inFlight: 0, minute, countBefore: 0, count: 0 };
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

/** Time until one more request fits; 0: it does now. Requests of the minute before count as if spread evenly over it. */
function waitFor({ countBefore, count }: Use, max: number, passedMs: number): number {
  const room = max - 1 - count;
  if (room < 0) {
    // Not before the next minute, and then once enough of this one is 60 s ago.
    return minuteMs - passedMs + minuteMs * Math.max(0, 1 - (max - 1) / count);
  }
  if (countBefore <= room) return 0;
  return Math.max(0, minuteMs * (1 - room / countBefore) - passedMs);
}

function exceeded(limit: string, what: string, retryAfterS: number): LimitReached {
  return new LimitReached(limit, 429, 'rate_limit_exceeded', `the limit of ${what} is reached`, retryAfterS);
}

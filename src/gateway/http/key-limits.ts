// Limits of API keys and of their tenants: requests in flight, requests per minute, tokens per minute.
//
// Tokens are reserved when a request is placed, as far as they can be foreseen, and replaced by those that it has used
// when it ends. So a limit can be exceeded by what the answers under way are longer than foreseen; then requests wait until
// it is made up for.

import type { GatewayConfig } from '../config/config.ts';
import type { ClientKey } from '../config/tenants.ts';
import type { ClientUse, WorkUse } from '../exchange/client-use.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import { rateHeaders } from './rate-headers.ts';
import { minuteMs, RateWindow } from './rate-window.ts';

/** `Retry-After` when the end of what is in the way is unknown: a guess. */
const unknownRetryS = 1;

export type KeyLimitSettings = Pick<
  GatewayConfig,
  'inFlightPerKeyMax' | 'requestsPerMinutePerKeyMax' | 'tokensPerMinutePerKeyMax' | 'countCachedTokens'
>;

/** What limits the requests of a key. */
export type LimitedKey = Pick<
  ClientKey,
  'name' | 'inFlightMax' | 'requestsPerMinuteMax' | 'tokensPerMinuteMax' | 'ofTenant'
>;

export function limitedKey({
  name,
  inFlightMax,
  requestsPerMinuteMax,
  tokensPerMinuteMax,
  ofTenant,
}: ClientKey): LimitedKey {
  return { name, inFlightMax, requestsPerMinuteMax, tokensPerMinuteMax, ofTenant };
}

/** What a limit counts: requests under way, requests of the last 60 s, tokens of the last 60 s. */
export type LimitedUse = 'inFlight' | 'lastMinute' | 'lastMinuteTokens';

/** The part of a limit that is this replica's, if there are others. `name`: as in `uses`. */
export interface LimitShares {
  allowance(name: string | null, max: number, of: LimitedUse): number;
}

/** Told of each refusal. */
export interface LimitObserver {
  refused(tenant: string, limit: string): void;
}

/** Time constant of `asked`. */
const askedMs = 3000;

interface Use {
  inFlight: number;
  readonly requests: RateWindow;
  readonly tokens: RateWindow;
  /** Reserved by requests in flight. */
  heldTokens: number;
  /** Requests, those refused included, each weighted by its age. */
  asked: number;
  askedAtMs: number;
}

/** A key or a tenant, its limits (0: none) and what it uses of them. */
interface Subject {
  readonly name: string | null;
  readonly kind: 'Key' | 'Tenant';
  readonly use: Use;
  readonly inFlightMax: number;
  readonly requestsMax: number;
  readonly tokensMax: number;
}

export class KeyLimits {
  /**
   * By name of the key, `tenant:NAME` of a tenant; all clients without a key share one entry. Keys and tenants come from
   * the configuration, so the map is bounded.
   */
  readonly #uses = new Map<string | null, Use>();
  /** Monotonic. */
  readonly now: () => number;
  /** Null: there are no other replicas. */
  shares: LimitShares | null = null;
  observer: LimitObserver | null = null;

  constructor(now: () => number = () => performance.now()) {
    this.now = now;
  }

  /** Use of the keys and tenants that were asked for. */
  uses(nowMs: number): Map<string | null, Record<LimitedUse | 'asked', number>> {
    const uses = new Map<string | null, Record<LimitedUse | 'asked', number>>();
    for (const [name, use] of this.#uses) {
      const { inFlight, requests, tokens, heldTokens } = use;
      uses.set(name, {
        inFlight,
        lastMinute: requests.used(nowMs),
        lastMinuteTokens: tokens.used(nowMs) + heldTokens,
        asked: askedBy(use, nowMs),
      });
    }
    return uses;
  }

  /**
   * Counts a request as in flight until `work` has settled or thrown.
   * @param usesTokens false: it is not refused for tokens that are used up
   * @throws RequestError 429 if a limit is reached; `work` is then not called
   */
  async within<T>(
    key: LimitedKey | null,
    settings: KeyLimitSettings,
    nowMs: number,
    work: (use: ClientUse) => T | Promise<T>,
    usesTokens = true,
  ): Promise<T> {
    const subjects = this.#subjects(key, settings);
    for (const subject of subjects) this.#admit(subject, tenantOf(key), nowMs);
    // Before the request is read: it would be refused for any tokens.
    if (usesTokens) this.#mustHaveSome(subjects, key, nowMs);
    const lease = new UseLease(this, key, subjects, settings.countCachedTokens);
    lease.begin(nowMs);
    try {
      return await work(lease);
    } finally {
      lease.end();
    }
  }

  /**
   * The tokens of work that is no request in flight, such as a reservation.
   * @throws LimitReached 429 if there are none left
   */
  tokensOf(key: LimitedKey | null, settings: KeyLimitSettings, nowMs: number): WorkUse {
    const subjects = this.#subjects(key, settings);
    this.#mustHaveSome(subjects, key, nowMs);
    return new UseLease(this, key, subjects, settings.countCachedTokens);
  }

  #mustHaveSome(subjects: readonly Subject[], key: LimitedKey | null, nowMs: number): void {
    for (const subject of subjects) this.mustHaveTokens(subject, tenantOf(key), 1, nowMs);
  }

  /** @throws LimitReached if `tokens` do not fit under the limit */
  mustHaveTokens(subject: Subject, tenant: string, tokens: number, nowMs: number): void {
    const { use, tokensMax: max } = subject;
    if (max === 0) return;
    if (tokens > max) {
      throw this.#refusal(
        subject,
        tenant,
        'tokensPerMinute',
        `the request has ${tokens} tokens, more than `,
        null,
        nowMs,
      );
    }
    const part = this.#partOf(subject, max, 'lastMinuteTokens');
    const isIdle = use.heldTokens === 0 && use.tokens.used(nowMs) === 0;
    // A request may be larger than this replica's part; it has none under way then.
    if (isIdle && part > 0) return;
    const waitMs =
      tokens > part ? minuteMs - (nowMs % minuteMs) : use.tokens.waitMs(tokens, use.heldTokens, part, nowMs);
    if (waitMs === 0) return;
    const retryS = use.heldTokens + tokens > part ? unknownRetryS : Math.ceil(waitMs / 1000);
    throw this.#refusal(subject, tenant, 'tokensPerMinute', '', retryS, nowMs);
  }

  /** What is left of the limits, as headers: of a key and its tenant, whichever has less. */
  headers(subjects: readonly Subject[], nowMs: number): readonly string[] {
    return rateHeaders(
      subjects.flatMap(({ use, requestsMax: max }) => {
        if (max === 0) return [];
        return [{ max, remaining: max - use.requests.used(nowMs), resetMs: use.requests.emptyMs(nowMs) }];
      }),
      subjects.flatMap(({ use, tokensMax: max }) => {
        if (max === 0) return [];
        const resetMs = Math.max(use.tokens.emptyMs(nowMs), use.heldTokens > 0 ? minuteMs : 0);
        return [{ max, remaining: max - use.tokens.used(nowMs) - use.heldTokens, resetMs }];
      }),
    );
  }

  #subjects(key: LimitedKey | null, settings: KeyLimitSettings): readonly Subject[] {
    const name = key?.name ?? null;
    const ofKey: Subject = {
      name,
      kind: 'Key',
      use: this.#useOf(name),
      inFlightMax: key?.inFlightMax ?? settings.inFlightPerKeyMax,
      requestsMax: key?.requestsPerMinuteMax ?? settings.requestsPerMinutePerKeyMax,
      tokensMax: key?.tokensPerMinuteMax ?? settings.tokensPerMinutePerKeyMax,
    };
    const tenant = key?.ofTenant ?? null;
    if (tenant === null) return [ofKey];
    const { inFlightMax, requestsPerMinuteMax: requestsMax, tokensPerMinuteMax: tokensMax } = tenant;
    const tenantName = `tenant:${tenant.name}`;
    const use = this.#useOf(tenantName);
    return [{ name: tenantName, kind: 'Tenant', use, inFlightMax, requestsMax, tokensMax }, ofKey];
  }

  /** Changes nothing but what it was asked. @throws LimitReached */
  #admit(subject: Subject, tenant: string, nowMs: number): void {
    const { use, inFlightMax, requestsMax } = subject;
    if (this.shares !== null) {
      use.asked = askedBy(use, nowMs) + 1;
      use.askedAtMs = nowMs;
    }
    if (inFlightMax > 0 && use.inFlight >= this.#partOf(subject, inFlightMax, 'inFlight')) {
      throw this.#refusal(subject, tenant, 'inFlight', '', unknownRetryS, nowMs);
    }
    if (requestsMax > 0) {
      const part = this.#partOf(subject, requestsMax, 'lastMinute');
      // Below 1: other replicas have used it up.
      const waitMs = part < 1 ? minuteMs - (nowMs % minuteMs) : use.requests.waitMs(1, 0, part, nowMs);
      if (waitMs > 0) throw this.#refusal(subject, tenant, 'requestsPerMinute', '', Math.ceil(waitMs / 1000), nowMs);
    }
  }

  #partOf({ name }: Subject, max: number, of: LimitedUse): number {
    return this.shares === null ? max : this.shares.allowance(name, max, of);
  }

  #refusal(
    subject: Subject,
    tenant: string,
    what: keyof typeof limitTexts,
    why: string,
    retryAfterS: number | null,
    nowMs: number,
  ): LimitReached {
    const limit = `${what}Per${subject.kind}Max`;
    this.observer?.refused(tenant, limit);
    const max = { inFlight: 'inFlightMax', requestsPerMinute: 'requestsMax', tokensPerMinute: 'tokensMax' } as const;
    const of = subject.kind === 'Tenant' ? ` of the tenant ${tenant}` : '';
    const text = `${why}the limit of ${subject[max[what]]} ${limitTexts[what]}${of}${why === '' ? ' is reached' : ''}`;
    const headers = pairs(this.headers([subject], nowMs));
    return new LimitReached(limit, 429, 'rate_limit_exceeded', text, retryAfterS, headers);
  }

  #useOf(name: string | null): Use {
    let use = this.#uses.get(name);
    if (use === undefined) {
      const [requests, tokens] = [new RateWindow(), new RateWindow()];
      use = { inFlight: 0, requests, tokens, heldTokens: 0, asked: 0, askedAtMs: 0 };
      this.#uses.set(name, use);
    }
    return use;
  }
}

const limitTexts = {
  inFlight: 'requests at a time',
  requestsPerMinute: 'requests a minute',
  tokensPerMinute: 'tokens a minute',
} as const;

/** The use of one request, which ends with it, or of other work. */
class UseLease implements WorkUse {
  readonly #limits: KeyLimits;
  readonly #subjects: readonly Subject[];
  readonly #countsCached: boolean;
  readonly key: string | null;
  readonly tenant: string;
  readonly weight: number;
  #reserved: number | null = null;
  #inFlight = false;

  constructor(limits: KeyLimits, key: LimitedKey | null, subjects: readonly Subject[], countsCached: boolean) {
    this.#limits = limits;
    this.#subjects = subjects;
    this.#countsCached = countsCached;
    this.key = key?.name ?? null;
    this.tenant = tenantOf(key);
    this.weight = key?.ofTenant?.weight ?? 1;
  }

  /** It is a request in flight. */
  begin(nowMs: number): void {
    this.#inFlight = true;
    for (const { use } of this.#subjects) {
      use.inFlight += 1;
      use.requests.add(1, nowMs);
    }
  }

  get limitsTokens(): boolean {
    return this.#reserved === null && this.#subjects.some(({ tokensMax }) => tokensMax > 0);
  }

  reserve(tokens: number): void {
    if (this.#reserved !== null) return;
    const nowMs = this.#limits.now();
    for (const subject of this.#subjects) this.#limits.mustHaveTokens(subject, this.tenant, tokens, nowMs);
    this.#reserved = tokens;
    for (const { use } of this.#subjects) use.heldTokens += tokens;
  }

  used({ prompt, cached, output }: Parameters<ClientUse['used']>[0]): void {
    const tokens = prompt + output - (this.#countsCached ? 0 : Math.min(prompt, cached ?? 0));
    const nowMs = this.#limits.now();
    for (const { use } of this.#subjects) use.tokens.add(tokens, nowMs);
    this.#release();
  }

  headers(): readonly string[] {
    return this.#limits.headers(this.#subjects, this.#limits.now());
  }

  end(): void {
    this.#release();
    if (!this.#inFlight) return;
    this.#inFlight = false;
    for (const { use } of this.#subjects) use.inFlight -= 1;
  }

  #release(): void {
    const tokens = this.#reserved ?? 0;
    this.#reserved = 0;
    for (const { use } of this.#subjects) use.heldTokens -= tokens;
  }
}

/** The tenant of a key's requests: a key without one is its own. */
function tenantOf(key: LimitedKey | null): string {
  return key?.ofTenant?.name ?? key?.name ?? '';
}

function askedBy({ asked, askedAtMs }: Use, nowMs: number): number {
  return asked * Math.exp((askedAtMs - nowMs) / askedMs);
}

function pairs(headers: readonly string[]): Readonly<Record<string, string>> {
  const record: Record<string, string> = {};
  for (let i = 0; i < headers.length; i += 2) record[headers[i]!] = headers[i + 1]!;
  return record;
}

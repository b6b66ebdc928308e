// Slows down guessing at the page's login: after some wrong keys an address has to wait, right key or not.

/** Wrong keys of one address per window. */
export const loginTriesMax = 10;
/** Wrong keys of all addresses per window. */
export const loginTriesOfAllMax = 200;
export const loginWindowMs = 60_000;
/** Addresses counted; beyond that, only the count of all holds. */
const addressesMax = 1024;

export class LoginTries {
  readonly #wrong = new Map<string, number>();
  #all = 0;
  #windowMs = Number.NEGATIVE_INFINITY;
  readonly #nowMs: () => number;

  /** @param nowMs a monotonic clock */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Seconds that the address has to wait; 0: it may try. */
  waitS(address: string): number {
    this.#turn();
    const over = (this.#wrong.get(address) ?? 0) >= loginTriesMax || this.#all >= loginTriesOfAllMax;
    return over ? Math.max(1, Math.ceil((this.#windowMs + loginWindowMs - this.#nowMs()) / 1000)) : 0;
  }

  wrong(address: string): void {
    this.#turn();
    this.#all += 1;
    const before = this.#wrong.get(address);
    if (before === undefined && this.#wrong.size >= addressesMax) return;
    this.#wrong.set(address, (before ?? 0) + 1);
  }

  #turn(): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#windowMs < loginWindowMs) return;
    this.#windowMs = nowMs;
    this.#wrong.clear();
    this.#all = 0;
  }
}

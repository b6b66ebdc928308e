// The places of shadows: copies of requests that are under way, limited in number and bytes, and ended together.

import { AnswerBudget } from '../exchange/answer-budget.ts';

/** Limit on the buffered parts of all their answers. */
const answersBytesMax = 16 * 1024 * 1024;

export interface ShadowLimits {
  readonly shadowsMax: number;
  readonly shadowBytesMax: number;
}

export type ShadowLimit = keyof ShadowLimits;

/** The place of one shadow. */
export interface ShadowSlot {
  /** Called at most once: the shadow must end now. */
  onEnd: () => void;
  /** Later calls do nothing. */
  release(): void;
}

export class ShadowSlots {
  /** Not the budget of real answers, which a shadow must not use up. */
  readonly answerBudget: AnswerBudget = new AnswerBudget(answersBytesMax);
  readonly #limits: () => ShadowLimits;
  readonly #slots = new Set<ShadowSlot>();
  #heldBytes = 0;
  #closed = false;

  constructor(limits: () => ShadowLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#slots.size;
  }

  /** Of the requests' bodies and what was made of them. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** @returns the limit that is reached, if there is no place */
  take(bytes: number): ShadowSlot | ShadowLimit {
    const { shadowsMax, shadowBytesMax } = this.#limits();
    if (this.#slots.size >= shadowsMax) return 'shadowsMax';
    if (this.#heldBytes + bytes > shadowBytesMax) return 'shadowBytesMax';
    const slot: ShadowSlot = {
      onEnd: () => undefined,
      release: () => {
        if (this.#slots.delete(slot)) this.#heldBytes -= bytes;
      },
    };
    this.#slots.add(slot);
    this.#heldBytes += bytes;
    return slot;
  }

  /** Ends all; none begins afterwards. */
  close(): void {
    this.#closed = true;
    for (const slot of [...this.#slots]) slot.onEnd();
  }
}

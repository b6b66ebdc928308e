// What a template may do and write, so that a few kilobytes of a client can't take seconds or hundreds of megabytes.

/** Characters that a template may write, what it writes and does not use included. */
export const templateCharsMax: number = 32 * 1024 * 1024;
/** Statements, calls and runs of characters that it may go through: some tenths of a second, about. */
export const templateStepsMax = 2_000_000;

export interface TemplateLimits {
  readonly stepsMax: number;
  readonly charsMax: number;
}

export const templateLimits: TemplateLimits = { stepsMax: templateStepsMax, charsMax: templateCharsMax };

/** A template did or wrote more than it may. */
export class TemplateOverrun extends Error {
  constructor(limit: string) {
    super(`what the chat template makes of it exceeds the limit of ${limit}`);
    this.name = 'TemplateOverrun';
  }
}

/** Characters that native code passes over in the time of a step. */
const charsPerStep = 128;

export class TemplateWork {
  readonly #limits: TemplateLimits;
  #steps = 0;
  #chars = 0;

  constructor(limits: TemplateLimits) {
    this.#limits = limits;
  }

  /** @throws TemplateOverrun */
  step(): void {
    if (++this.#steps > this.#limits.stepsMax) this.#over();
  }

  /** So many characters, or items of a list, were looked at. @throws TemplateOverrun */
  read(length: number): void {
    this.#steps += 1 + length / charsPerStep;
    if (this.#steps > this.#limits.stepsMax) this.#over();
  }

  /** So many items were gone through one by one. @throws TemplateOverrun */
  visit(items: number): void {
    this.#steps += items;
    if (this.#steps > this.#limits.stepsMax) this.#over();
  }

  /** A text of so many characters was made. @throws TemplateOverrun */
  write(length: number): void {
    this.#chars += length;
    if (this.#chars > this.#limits.charsMax) {
      throw new TemplateOverrun(`${this.#limits.charsMax} characters (templateCharsMax)`);
    }
    this.read(length);
  }

  #over(): never {
    throw new TemplateOverrun(`${this.#limits.stepsMax} steps (templateStepsMax)`);
  }
}

// Limits on the work and output of a template, so that a small request can't take seconds or hundreds of megabytes.

/** Characters that a template may write, including those it discards. */
export const templateCharsMax: number = 32 * 1024 * 1024;
/** Statements, calls and runs of characters that a template may process: a few tenths of a second. */
export const templateStepsMax = 2_000_000;

export interface TemplateLimits {
  readonly stepsMax: number;
  readonly charsMax: number;
}

export const templateLimits: TemplateLimits = { stepsMax: templateStepsMax, charsMax: templateCharsMax };

/** A template exceeded a limit. */
export class TemplateOverrun extends Error {
  constructor(limit: string) {
    super(`rendering the chat template exceeds the limit of ${limit}`);
    this.name = 'TemplateOverrun';
  }
}

/** Characters that native code processes in the time of one step. */
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

  /** Counts characters, or items of a list, that native code reads. @throws TemplateOverrun */
  read(length: number): void {
    this.#steps += 1 + length / charsPerStep;
    if (this.#steps > this.#limits.stepsMax) this.#over();
  }

  /** Counts items that are visited one by one. @throws TemplateOverrun */
  visit(items: number): void {
    this.#steps += items;
    if (this.#steps > this.#limits.stepsMax) this.#over();
  }

  /** Counts characters of a new text. @throws TemplateOverrun */
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

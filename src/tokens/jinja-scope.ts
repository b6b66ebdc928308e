// What a compiled part of a chat template runs with: its variables, and what it has written.

import type { TemplateWork } from './template-work.ts';

/** Variables of a block; what it lacks, the blocks around it may have. */
export class Scope {
  readonly #own = new Map<string, unknown>();
  readonly #outer: Scope | null;

  constructor(outer: Scope | null) {
    this.#outer = outer;
  }

  /** Undefined where nobody has it. */
  get(name: string): unknown {
    for (let scope: Scope | null = this; scope !== null; scope = scope.#outer) {
      const value = scope.#own.get(name);
      if (value !== undefined || scope.#own.has(name)) return value;
    }
    return undefined;
  }

  set(name: string, value: unknown): void {
    this.#own.set(name, value);
  }
}

/** One rendering. */
export interface Rendering {
  readonly work: TemplateWork;
  /** Macros within macros. */
  depth: number;
}

/** What a block has written; only what is there at the end is the template's text. */
export class Output {
  text = '';
  readonly #work: TemplateWork;

  constructor(work: TemplateWork) {
    this.#work = work;
  }

  write(text: string): void {
    this.#work.write(text.length);
    this.text += text;
  }
}

export type Expression = (scope: Scope, rendering: Rendering) => unknown;

/** How a statement ended: in order, or by leaving the loop that it is in. */
export type Ending = 'done' | 'break' | 'continue';

export type Statement = (scope: Scope, rendering: Rendering, out: Output) => Ending;

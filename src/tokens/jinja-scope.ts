// The state of a running chat template: its variables and its output.

import type { TemplateWork } from './template-work.ts';

/** Variables of a block; missing ones are looked up in the enclosing blocks. */
export class Scope {
  readonly #own = new Map<string, unknown>();
  readonly #outer: Scope | null;

  constructor(outer: Scope | null) {
    this.#outer = outer;
  }

  /** Undefined if no block has it. */
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

/** The state of one rendering. */
export interface Rendering {
  readonly work: TemplateWork;
  /** Depth of nested macro calls. */
  depth: number;
}

/** The output of a block; what is in it at the end is the template's text. */
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

/** How a statement ended: normally, or by leaving its loop. */
export type Ending = 'done' | 'break' | 'continue';

export type Statement = (scope: Scope, rendering: Rendering, out: Output) => Ending;

// Reads the fields of one parsed line of a trace. Errors name the line and the field.

import { TraceError } from './trace-error.ts';

/** A field may have several names, since traces of one dialect differ. */
export class TraceFields {
  /** File and line. */
  readonly at: string;
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(at: string, values: Readonly<Record<string, unknown>>) {
    this.at = at;
    this.#values = values;
  }

  /** @throws TraceError `trace-invalid` if the text is not a JSON object */
  static parse(at: string, text: string): TraceFields {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new TraceError('trace-invalid', `${at}: not JSON: ${(cause as Error).message}`, { cause });
    }
    return TraceFields.of(at, value);
  }

  static of(at: string, value: unknown): TraceFields {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new TraceError('trace-invalid', `${at}: must be a JSON object`);
    }
    return new TraceFields(at, value as Record<string, unknown>);
  }

  has(...names: readonly string[]): boolean {
    return names.some((name) => this.#values[name] !== undefined && this.#values[name] !== null);
  }

  /** Integer from `min` up. */
  count(min: number, ...names: readonly string[]): number {
    return this.#field(names, `an integer from ${min} up`, (value): value is number => {
      return Number.isSafeInteger(value) && (value as number) >= min;
    });
  }

  /** Finite number from 0 up. */
  amount(...names: readonly string[]): number {
    return this.#field(names, 'a number from 0 up', (value): value is number => {
      return Number.isFinite(value) && (value as number) >= 0;
    });
  }

  string(...names: readonly string[]): string {
    return this.#field(names, 'a string', (value): value is string => typeof value === 'string');
  }

  boolean(...names: readonly string[]): boolean {
    return this.#field(names, 'true or false', (value): value is boolean => typeof value === 'boolean');
  }

  array(...names: readonly string[]): readonly unknown[] {
    return this.#field(names, 'a list', Array.isArray);
  }

  /** List of integers from 0 up. */
  ids(...names: readonly string[]): readonly number[] {
    return this.#field(names, 'a list of integers from 0 up', (value): value is number[] => {
      return Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && id >= 0);
    });
  }

  /** Rejects a value that is valid in itself but contradicts others. */
  refuse(field: string, complaint: string): never {
    throw new TraceError('trace-invalid', `${this.at}: ${field}: ${complaint}`);
  }

  #field<T>(names: readonly string[], expected: string, accepts: (value: unknown) => value is T): T {
    const name = names.find((candidate) => this.has(candidate));
    if (name === undefined) throw new TraceError('trace-invalid', `${this.at}: ${names.join(' or ')} is missing`);
    const value = this.#values[name];
    if (!accepts(value)) this.refuse(name, `must be ${expected}, got ${JSON.stringify(value)?.slice(0, shownMax)}`);
    return value;
  }
}

/** Characters of a wrong value in a message. */
const shownMax = 60;

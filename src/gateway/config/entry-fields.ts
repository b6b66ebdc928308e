// Checks of an entry that is an object with fields: an API key, a tenant, a name of models.

/** What is wrong with an entry, and the field at fault. */
export interface WrongEntry {
  readonly kind: 'wrong';
  readonly message: string;
  readonly field?: string;
}

/** Largest limit of an entry: of requests, of tokens. */
export const limitMax = 1_000_000_000;

export function wrongEntry(message: string, field?: string): WrongEntry {
  return { kind: 'wrong', message, ...(field !== undefined && { field }) };
}

/** A field that an entry of this kind does not have. */
export function unknownField(entry: object, fields: readonly string[]): string | undefined {
  return Object.keys(entry).find((field) => !fields.includes(field));
}

/** A field left empty in YAML: a blank limit or list of models must not allow everything. */
export function blankFault(entry: Readonly<Record<string, unknown>>): { message: string; field: string } | null {
  const field = Object.keys(entry).find((name) => entry[name] === null);
  return field === undefined ? null : { message: `${field} is empty: give it a value, or leave it out`, field };
}

/** Null: all its fields are known and have a value. */
export function fieldsFault(entry: Readonly<Record<string, unknown>>, fields: readonly string[]): WrongEntry | null {
  const unknown = unknownField(entry, fields);
  if (unknown !== undefined) {
    return wrongEntry(`${JSON.stringify(unknown)} is unknown; allowed are ${fields.join(', ')}`, unknown);
  }
  const blank = blankFault(entry);
  return blank === null ? null : wrongEntry(blank.message, blank.field);
}

export function isIntegerWithin(value: unknown, min: number, max: number): boolean {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}

export function isListOfNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === 'string');
}

/** An object, not a list. */
export function isEntry(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// What is asked, as it crosses from the thread that reads large bodies: bounded but for its prompt, whose long texts
// cross as bytes.

import { deserialize, serialize } from 'node:v8';
import { RequestError } from '../../wire/openai-error.ts';
import { errorOf, type SentError, sentError } from '../exchange/sent-error.ts';
import { crossed, uncrossed } from '../inference/reading-messages.ts';
import { Asked } from './asked.ts';
import type { Given } from './given-prompt.ts';

/** Longer texts of fields are cut: no field but those of the prompt may have as many characters. */
const fieldCharsMax = 2048;
/** No operation has as many fields: a name more is none of its own. */
const namesMax = 64;

interface CrossingFields {
  readonly names: readonly string[];
  readonly values: ReadonlyMap<string, unknown>;
  /** Those whose values were not read. */
  readonly refused: ReadonlyMap<string, SentError>;
}

export interface CrossingAsked {
  /** `CrossingFields` as V8 writes them: a batch may have a quarter of a million values, to be made one by one. */
  readonly fields: Uint8Array;
  readonly prompt: Given | SentError;
}

export type SelectionTask = { readonly kind: 'operation' } | { readonly kind: 'batch' };

export type SelectionReading =
  | { readonly kind: 'operation'; readonly asked: CrossingAsked }
  | { readonly kind: 'batch'; readonly batch: readonly (CrossingAsked | null)[] };

/** @param memory gets what is to be transferred with it */
export function toCross(asked: Asked, memory: ArrayBuffer[]): CrossingAsked {
  const names: string[] = [];
  const values = new Map<string, unknown>();
  const refused = new Map<string, SentError>();
  for (const name of asked.names()) {
    names.push(name);
    if (names.length > namesMax) break;
    const value = attempt(() => asked.value(name));
    if (value instanceof RequestError) refused.set(name, sentError(value));
    else values.set(name, cut(value));
  }
  const prompt = attempt(() => asked.prompt());
  const fields = Uint8Array.from(serialize({ names, values, refused } satisfies CrossingFields));
  memory.push(fields.buffer as ArrayBuffer);
  return { fields, prompt: prompt instanceof RequestError ? sentError(prompt) : sent(prompt, memory) };
}

/** What was sent, on the other side. */
export class AskedThere extends Asked {
  readonly #crossing: CrossingAsked;
  /** Null until they are asked for. */
  #fields: CrossingFields | null = null;

  constructor(crossing: CrossingAsked) {
    super();
    this.#crossing = crossing;
  }

  names(): Iterable<string> {
    return this.#made().names;
  }

  value(name: string): unknown {
    const { values, refused } = this.#made();
    const refusal = refused.get(name);
    if (refusal !== undefined) throw errorOf(refusal);
    return values.get(name);
  }

  prompt(): Given {
    const { prompt } = this.#crossing;
    if (!('kind' in prompt)) throw errorOf(prompt);
    return prompt.kind === 'hashes' ? prompt : uncrossed(prompt, null);
  }

  #made(): CrossingFields {
    this.#fields ??= deserialize(this.#crossing.fields) as CrossingFields;
    return this.#fields;
  }
}

function sent(given: Given, memory: ArrayBuffer[]): Given {
  if (given.kind !== 'hashes') return crossed(given, null, memory);
  for (const hashes of given.bySize.values()) memory.push(hashes.buffer as ArrayBuffer);
  return given;
}

function cut(value: unknown): unknown {
  if (typeof value === 'string') return value.slice(0, fieldCharsMax);
  if (Array.isArray(value)) return value.map(cut);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, cut(member)]));
}

function attempt<Value>(work: () => Value): Value | RequestError {
  try {
    return work();
  } catch (error) {
    if (error instanceof RequestError) return error;
    throw error;
  }
}

// A request of another API as the chat that an engine makes of it.

import { isJsonObject, type Json, type JsonList, type JsonObject } from './json-values.ts';

export interface ConvertedChat {
  readonly messages: JsonList;
  /** The same for a template that refuses system messages among the others; null: there are none. */
  readonly merged: JsonList | null;
  /** As in the chat API; null: none are shown to the model. */
  readonly tools: JsonList | null;
  /** The last message is left open, so that the model continues it. */
  readonly continuesLast: boolean;
}

/** The engine's conversion is unknown here, or it would refuse the request. */
export class NotConverted extends Error {
  override readonly name = 'NotConverted';
}

/** A message while it may still grow. */
export type GrowingMessage = Map<string, Json>;

export function messageOf(role: string, members: Readonly<Record<string, Json>> = {}): GrowingMessage {
  return new Map<string, Json>([['role', role], ...Object.entries(members)]);
}

export function textPart(text: string): JsonObject {
  return new Map<string, Json>([
    ['type', 'text'],
    ['text', text],
  ]);
}

/** A call of a function, as in a message of the chat API. @param args JSON text */
export function callOf(id: string, name: string, args: string): JsonObject {
  const called = new Map<string, Json>([
    ['name', name],
    ['arguments', args],
  ]);
  return new Map<string, Json>([
    ['id', id],
    ['type', 'function'],
    ['function', called],
  ]);
}

/** A tool of the chat API. Absent members are left out. @param from object that holds the other members */
export function toolOf(from: JsonObject, parameters: Json): JsonObject {
  const described = new Map<string, Json>([['name', textOf(from.get('name'))]]);
  for (const name of ['description', 'strict', 'defer_loading']) {
    const value = from.get(name) ?? null;
    if (value !== null) described.set(name, value);
  }
  described.set('parameters', parameters);
  return new Map<string, Json>([
    ['type', 'function'],
    ['function', described],
  ]);
}

/** @throws NotConverted */
export function textOf(value: Json | undefined): string {
  if (typeof value !== 'string') throw new NotConverted('a text is missing');
  return value;
}

/** @throws NotConverted */
export function objectOf(value: Json | undefined): JsonObject {
  if (!isJsonObject(value)) throw new NotConverted('an object is missing');
  return value;
}

/** @throws NotConverted */
export function listOf(value: Json | undefined): JsonList {
  if (!Array.isArray(value)) throw new NotConverted('a list is missing');
  return value as JsonList;
}

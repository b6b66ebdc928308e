// The features a chat uses beyond plain turns; engines may render each of them differently.

import type { JsonText } from './exact-json.ts';
import { isJsonObject, type Json, type JsonList } from './json-values.ts';

export const chatFeatures = ['tools', 'tool-calls', 'developer', 'reasoning', 'content-parts', 'images'] as const;

export type ChatFeature = (typeof chatFeatures)[number];

export interface ChatFacts {
  readonly features: readonly ChatFeature[];
  /** Parts of all messages that are not text. */
  readonly otherParts: number;
}

interface Chat {
  readonly messages: JsonText;
  readonly tools?: JsonText | null | undefined;
  readonly facts?: ChatFacts | undefined;
}

export function factsOf({ facts, messages, tools }: Chat): ChatFacts {
  return facts ?? chatFacts(messages.value, (tools ?? null) !== null);
}

/** O(messages and their parts) */
export function chatFacts(messages: Json, hasTools: boolean): ChatFacts {
  const features = new Set<ChatFeature>(hasTools ? ['tools'] : []);
  let otherParts = 0;
  for (const message of Array.isArray(messages) ? (messages as JsonList) : []) {
    if (!isJsonObject(message)) continue;
    const content = message.get('content');
    if (Array.isArray(content)) features.add('content-parts');
    otherParts += countOtherParts(content);
    const role = message.get('role');
    if (role === 'tool' || (message.get('tool_calls') ?? null) !== null) features.add('tool-calls');
    if (role === 'developer') features.add('developer');
    if ((message.get('reasoning') ?? message.get('reasoning_content') ?? null) !== null) features.add('reasoning');
  }
  if (otherParts > 0) features.add('images');
  return { features: [...features], otherParts };
}

/** Parts of a message that are not text. */
export function countOtherParts(content: Json | undefined): number {
  if (!Array.isArray(content)) return 0;
  let count = 0;
  for (const part of content as JsonList) if (typeof part !== 'string' && !isTextPart(part)) count++;
  return count;
}

const textTypes: ReadonlySet<Json | undefined> = new Set([
  'text',
  'input_text',
  'output_text',
  'refusal',
  'thinking',
  'tool_reference',
]);

function isTextPart(part: Json): boolean {
  return isJsonObject(part) && textTypes.has(part.get('type')) && !part.has('uuid');
}

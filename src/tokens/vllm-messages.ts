// Prepares chat messages for a template as vLLM does: normalizes contents, tool calls and roles.
//
// Messages that vLLM would refuse, or treats in an unknown way, are not prepared: the engine must be asked.

import { parseJson } from './exact-json.ts';
import { isJsonObject, type Json, JsonError, type JsonObject } from './json-values.ts';
import { TokenizerError } from './tokenizer.ts';

/** Marks the start of the first message with a non-text part; no template trims or escapes it. */
export const partMarker = '\u{f0000}opaque\u{f0000}';

export interface TemplateTraits {
  /** Iterates over content parts itself; otherwise they are joined into one string. */
  readonly takesParts: boolean;
  /** Knows the role `developer`. */
  readonly knowsDeveloper: boolean;
}

export interface PreparedMessages {
  readonly messages: readonly JsonObject[];
  /** Number of parts that are not text. */
  readonly otherParts: number;
}

type Members = Map<string, Json>;

/** @throws TokenizerError `message-invalid` */
export function prepareMessages(given: Json, traits: TemplateTraits): PreparedMessages {
  if (!Array.isArray(given)) throw invalid('messages must be a list', 'messages');
  let otherParts = 0;
  let messages: Members[] = [];
  for (const [index, message] of (given as readonly Json[]).entries()) {
    const prepared = prepareMessage(message, `messages[${index}]`, traits, otherParts === 0);
    otherParts += prepared.otherParts;
    messages.push(prepared.message);
  }
  if (!traits.knowsDeveloper && messages.some((message) => message.get('role') === 'developer')) {
    messages = withoutDeveloper(messages);
  }
  return { messages, otherParts };
}

function prepareMessage(
  message: Json,
  field: string,
  { takesParts }: TemplateTraits,
  isMarked: boolean,
): { readonly message: Members; readonly otherParts: number } {
  const role = isJsonObject(message) ? message.get('role') : null;
  if (!isJsonObject(message) || typeof role !== 'string') {
    throw invalid(`${field} must be an object with a role`, `${field}.role`);
  }
  const { parts, otherParts } = contentParts(message.get('content') ?? null, role, `${field}.content`);
  if (otherParts > 0 && isMarked) parts.unshift(textPart(partMarker));
  const isJoined = !takesParts || (role === 'tool' && parts.every((part) => part.get('type') === 'text'));
  const prepared: Members = new Map<string, Json>([
    ['role', role],
    ['content', isJoined ? joined(parts, takesParts) : parts],
  ]);
  if (role === 'assistant') addAssistantFields(prepared, message, field);
  if (role === 'tool' && message.has('tool_call_id')) prepared.set('tool_call_id', message.get('tool_call_id')!);
  for (const name of ['name', 'task']) {
    const value = message.get(name);
    if (typeof value === 'string') prepared.set(name, value);
  }
  if (role === 'developer') prepared.set('tools', message.get('tools') ?? null);
  return { message: prepared, otherParts };
}

function textPart(text: string): Members {
  return new Map<string, Json>([
    ['type', 'text'],
    ['text', text],
  ]);
}

/** For templates without parts vLLM drops empty ones, except in a tool's message, which it joins later. */
function joined(parts: readonly JsonObject[], keepsEmpty: boolean): string {
  const texts = parts.map(textOf);
  return (keepsEmpty ? texts : texts.filter((text) => text !== '')).join('\n');
}

/** The text of a prepared part: a reference to a tool has only a name. */
function textOf(part: JsonObject): string {
  return String(part.get('text') ?? part.get('name') ?? '');
}

/** The member that holds a part's text, by the part's type. */
const textFields: ReadonlyMap<Json | undefined, string> = new Map([
  ['text', 'text'],
  ['input_text', 'text'],
  ['output_text', 'text'],
  ['refusal', 'refusal'],
  ['thinking', 'thinking'],
]);

/** Fields of a part that vLLM uses itself; other fields of a text part go to the template. */
const partFields: ReadonlySet<string> = new Set(
  (
    'audio_embeds audio_url closed data file image_embeds image_pil image_url input_audio name ' +
    'prompt_cache_breakpoint refusal text thinking type uuid video_embeds video_url'
  ).split(' '),
);

function contentParts(content: Json, role: string, field: string): { parts: JsonObject[]; otherParts: number } {
  if (content === null) return { parts: [], otherParts: 0 };
  const given = typeof content === 'string' ? [content] : content;
  if (!Array.isArray(given)) throw invalid(`${field} must be a string, null or a list of parts`, field);
  const parts: JsonObject[] = [];
  let otherParts = 0;
  for (const part of given as readonly Json[]) {
    const prepared = preparePart(part, field);
    if (prepared === null) otherParts++;
    else {
      const kept = role === 'system' ? withoutBillingHeader(prepared, part) : prepared;
      if (kept !== null) parts.push(kept);
    }
  }
  return { parts, otherParts };
}

/** @returns null for a part that is not text */
function preparePart(part: Json, field: string): Members | null {
  if (typeof part === 'string') return textPart(part);
  if (!isJsonObject(part) || part.has('uuid')) return null;
  const type = part.get('type');
  if (type === 'tool_reference' && typeof part.get('name') === 'string') {
    return new Map<string, Json>([
      ['type', 'tool_reference'],
      ['name', part.get('name')!],
    ]);
  }
  const name = textFields.get(type);
  if (name === undefined) return null;
  const text = part.get(name);
  if (typeof text !== 'string') throw invalid(`${field} has a part of type ${type} without a text`, field);
  const prepared = textPart(text);
  for (const [member, value] of part) if (!partFields.has(member)) prepared.set(member, value);
  return prepared;
}

const billingHeader = 'x-anthropic-billing-header';

/** vLLM drops the billing header, which differs in every request: it is not meant for the model. */
function withoutBillingHeader(prepared: Members, part: Json): Members | null {
  const text = prepared.get('text');
  const isPlain = typeof part === 'string' || (isJsonObject(part) && part.get('type') === 'text');
  if (typeof text !== 'string' || !isPlain || !text.startsWith(billingHeader)) return prepared;
  const line = text.indexOf('\n');
  const rest = line === -1 ? '' : text.slice(line + 1);
  return rest === '' ? null : new Map(prepared).set('text', rest);
}

function addAssistantFields(prepared: Members, message: JsonObject, field: string): void {
  const calls = message.get('tool_calls') ?? null;
  if (calls !== null) {
    if (!Array.isArray(calls)) throw invalid(`${field}.tool_calls must be a list`, `${field}.tool_calls`);
    const list = (calls as readonly Json[]).map((call, i) => prepareCall(call, `${field}.tool_calls[${i}]`));
    if (list.length > 0) prepared.set('tool_calls', list);
  }
  const reasoning = message.get('reasoning') ?? message.get('reasoning_content') ?? null;
  if (reasoning === null) return;
  prepared.set('reasoning', reasoning);
  prepared.set('reasoning_content', reasoning);
}

/** Fields that vLLM knows come first, in its order; others follow in theirs. */
function ordered(object: JsonObject, names: readonly string[]): Members {
  const members: Members = new Map();
  for (const name of names) if (object.has(name)) members.set(name, object.get(name)!);
  for (const [name, value] of object) members.set(name, value);
  return members;
}

function prepareCall(call: Json, field: string): Members {
  const called = isJsonObject(call) ? call.get('function') : null;
  if (!isJsonObject(call) || !isJsonObject(called) || call.get('type') !== 'function') {
    throw invalid(`${field} must be an object of type function`, field);
  }
  const text = called.get('arguments');
  if (typeof text !== 'string' || typeof called.get('name') !== 'string' || typeof call.get('id') !== 'string') {
    throw invalid(`${field} must have an id, and a function with a name and with arguments as text`, field);
  }
  const prepared = ordered(call, ['id', 'function', 'type']);
  return prepared.set('function', ordered(called, ['arguments', 'name']).set('arguments', argumentsOf(text, field)));
}

/** Anything but a JSON object becomes an empty one: templates expect a mapping. */
function argumentsOf(text: string, field: string): JsonObject {
  try {
    const value = parseJson(text, { constants: true });
    return isJsonObject(value) ? value : new Map();
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    if (error.limit === null) return new Map();
    throw invalid(`${field}.function.arguments: ${error.message}`, `${field}.function.arguments`);
  }
}

/** For a template without developers vLLM makes them the system and merges all system messages at the beginning. */
function withoutDeveloper(messages: readonly Members[]): Members[] {
  const converted = messages.map((message) => {
    if (message.get('role') !== 'developer') return message;
    const system = new Map(message).set('role', 'system');
    system.delete('tools');
    return system;
  });
  const isSystem = (message: JsonObject): boolean => message.get('role') === 'system';
  if (converted.every((message, index) => index === 0 || !isSystem(message))) return converted;
  const texts = converted.filter(isSystem).map((message) => {
    const content = message.get('content');
    return typeof content === 'string' ? content : (content as JsonObject[]).map(textOf).join('\n');
  });
  const merged: Members = new Map<string, Json>([
    ['role', 'system'],
    ['content', texts.filter((text) => text !== '').join('\n\n')],
  ]);
  return [merged, ...converted.filter((message) => !isSystem(message))];
}

export function invalid(message: string, field: string): TokenizerError {
  return new TokenizerError('message-invalid', message, field);
}
